use http::{HeaderMap, Method, header::WWW_AUTHENTICATE};
use reqwest::Url;

use super::{challenge::Algorithm, *};

/// The example of RFC 7616 §3.9.1.
fn rfc() -> (Who, Challenge) {
    let who = Who {
        username: "Mufasa".to_owned(),
        password: "Circle of Life".into(),
    };
    let challenge = Challenge {
        realm: "http-auth@example.org".to_owned(),
        nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v".to_owned(),
        opaque: Some("FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS".to_owned()),
        algorithm: Algorithm::Md5,
        is_session: false,
        has_qop: true,
        hashes_user: false,
        is_stale: false,
    };
    (who, challenge)
}

fn answered(who: &Who, challenge: &Challenge, uri: &str, cnonce: &str) -> String {
    let answered = Answered {
        who,
        challenge,
        method: "GET",
        uri,
        cnonce,
        count: 1,
    };
    answered.header()
}

#[test]
fn answers_are_those_of_the_rfc() {
    let (who, challenge) = rfc();
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    let header = |challenge: &Challenge| answered(&who, challenge, "/dir/index.html", cnonce);
    let md5 = header(&challenge);
    assert_eq!(
        md5,
        "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", \
         nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", uri=\"/dir/index.html\", \
         algorithm=MD5, response=\"8ca523f5e9506fed4657c9700eebdbec\", \
         opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\", qop=auth, nc=00000001, \
         cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\""
    );
    let sha = Challenge {
        algorithm: Algorithm::Sha256,
        ..challenge
    };
    let response = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
    assert!(header(&sha).contains(response), "{}", header(&sha));
    // Computed with Python's hashlib by the same rules.
    for (challenge, response) in [
        (
            Challenge {
                algorithm: Algorithm::Md5,
                is_session: true,
                ..sha.clone()
            },
            "e783283f46242139c486a698fec7211d",
        ),
        (
            Challenge {
                is_session: true,
                ..sha.clone()
            },
            "2fd51b3a77ad75bad6afad6003e818d767133c46d9e2749e7f5232ae1ea3efd7",
        ),
        (
            Challenge {
                has_qop: false,
                ..sha
            },
            "a1306b0595a6c7fe96c448631fb5cfbd5107bd1fe1da729d978dd7446b812363",
        ),
    ] {
        assert!(header(&challenge).contains(response), "{challenge:?}");
    }
}

#[test]
fn a_name_beyond_ascii_is_encoded_or_hashed() {
    let (who, challenge) = rfc();
    let who = Who {
        username: "Jäsøn Doe".to_owned(),
        ..who
    };
    let header = answered(&who, &challenge, "/doe.json", "c");
    assert!(
        header.contains("username*=UTF-8''J%C3%A4s%C3%B8n%20Doe,"),
        "{header}"
    );
    // The name of RFC 7616 §3.9.2 (erratum 4897).
    let hashed = Challenge {
        realm: "api@example.org".to_owned(),
        algorithm: Algorithm::Sha512_256,
        hashes_user: true,
        ..challenge
    };
    let header = answered(&who, &hashed, "/doe.json", "c");
    let name = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b";
    assert!(header.contains(&format!("username=\"{name}\"")), "{header}");
    assert!(header.ends_with("userhash=true"), "{header}");
}

fn digest() -> Digest {
    Digest {
        username: "fleet".to_owned(),
        password: Arc::new(SecretText::fixed("hunter2")),
        servers: Mutex::default(),
    }
}

fn headers(name: http::HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, value.parse().unwrap())])
}

fn sent(credentials: &Arc<dyn Credentials>) -> Option<String> {
    let mut headers = HeaderMap::new();
    let request = AuthRequest {
        method: &Method::GET,
        url: &"http://a/x?y=z".parse().unwrap(),
        headers: &mut headers,
        body: b"",
    };
    credentials.apply(request).unwrap();
    let value = headers.get(AUTHORIZATION)?;
    assert!(value.is_sensitive());
    Some(value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_challenge_is_answered_until_there_is_another_nonce() {
    let digest = digest();
    assert!(!format!("{digest:?}").contains("hunter2"));
    let server = digest.at((&"http://a/base".parse::<Url>().unwrap()).into());
    let other = digest.at((&"http://a/other".parse::<Url>().unwrap()).into());
    assert!(Arc::ptr_eq(&server, &other), "the same origin");
    let first = server.credentials().await.unwrap();
    assert_eq!(sent(&first), None);
    let challenge = headers(WWW_AUTHENTICATE, "Digest realm=r, nonce=one, qop=auth");
    let refused = async |used: &Arc<dyn Credentials>, headers: &HeaderMap| {
        let status = StatusCode::UNAUTHORIZED;
        server
            .refused(used, Refusal { status, headers })
            .await
            .unwrap()
    };
    let one = refused(&first, &challenge).await.unwrap();
    let text = sent(&one).unwrap();
    assert!(
        text.contains("nonce=\"one\"") && text.contains("nc=00000001"),
        "{text}"
    );
    assert!(text.contains("uri=\"/x?y=z\""), "{text}");
    assert!(is_same(&server.credentials().await.unwrap(), &one));
    assert!(
        sent(&one).unwrap().contains("nc=00000002"),
        "the same nonce"
    );

    assert!(
        refused(&one, &challenge).await.is_none(),
        "a wrong password"
    );
    let stale = headers(
        WWW_AUTHENTICATE,
        "Digest realm=r, nonce=two, qop=auth, stale=true",
    );
    let two = refused(&one, &stale).await.unwrap();
    assert!(sent(&two).unwrap().contains("nonce=\"two\""));
    let info = headers(
        http::HeaderName::from_static("authentication-info"),
        "nextnonce=\"three\"",
    );
    let acceptance = Acceptance {
        headers: &info,
        is_repeat: false,
    };
    server.accepted(&two, acceptance);
    let three = server.credentials().await.unwrap();
    let text = sent(&three).unwrap();
    assert!(
        text.contains("nonce=\"three\"") && text.contains("nc=00000001"),
        "{text}"
    );
}
