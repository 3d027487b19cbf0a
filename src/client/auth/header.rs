//! Authenticates with a header that holds a secret: a password, or a token that somebody else
//! rotates.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use http::{HeaderName, HeaderValue, StatusCode, header::AUTHORIZATION};

use super::{
    AuthError, AuthRequest, Authenticator, Credentials, Refusal, ServerAddress,
    ServerAuthenticator, is_same,
};
use crate::http::SecretHeader;

/// The same header for every server.
#[derive(Debug, Clone)]
pub struct HeaderAuth(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: HeaderName,
    secret: SecretHeader,
    /// The header as it was last.
    last: Mutex<Option<Arc<HeaderCredentials>>>,
}

/// A header.
#[derive(Debug)]
pub struct HeaderCredentials {
    name: HeaderName,
    value: HeaderValue,
}

impl HeaderAuth {
    /// The header `Authorization` with this value.
    pub fn authorization(secret: SecretHeader) -> Self {
        Self::new(AUTHORIZATION, secret)
    }

    /// The header `name` with this value.
    pub fn new(name: HeaderName, secret: SecretHeader) -> Self {
        Self(Arc::new(Shared {
            name,
            secret,
            last: Mutex::new(None),
        }))
    }
}

impl Shared {
    /// The same credentials as long as the value is the same.
    fn with(&self, value: HeaderValue) -> Arc<dyn Credentials> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.value == value
        {
            return Arc::clone(last) as Arc<dyn Credentials>;
        }
        let now = Arc::new(HeaderCredentials::new(self.name.clone(), value));
        *last = Some(Arc::clone(&now));
        now
    }
}

impl Authenticator for HeaderAuth {
    fn at(&self, _server: ServerAddress<'_>) -> Arc<dyn ServerAuthenticator> {
        Arc::clone(&self.0) as Arc<dyn ServerAuthenticator>
    }
}

#[async_trait]
impl ServerAuthenticator for Shared {
    async fn credentials(&self) -> Result<Arc<dyn Credentials>, AuthError> {
        Ok(self.with(self.secret.value().await?))
    }

    /// A file may have another secret by now.
    async fn refused(
        &self,
        used: &Arc<dyn Credentials>,
        refusal: Refusal<'_>,
    ) -> Result<Option<Arc<dyn Credentials>>, AuthError> {
        if refusal.status != StatusCode::UNAUTHORIZED {
            return Ok(None);
        }
        let now = self.with(self.secret.newer_value().await?);
        Ok((!is_same(used, &now)).then_some(now))
    }
}

impl HeaderCredentials {
    /// Credentials that are this header. Its value is marked as sensitive.
    pub fn new(name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        Self { name, value }
    }
}

impl Credentials for HeaderCredentials {
    fn apply(&self, request: AuthRequest<'_>) -> Result<(), AuthError> {
        request.headers.insert(&self.name, self.value.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use reqwest::Url;

    use super::*;
    use crate::{
        client::auth::OriginAuth,
        http::{BearerConfig, SecretText},
    };

    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

    async fn sent(auth: &OriginAuth, url: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let request = AuthRequest {
            method: &Method::GET,
            url: &url.parse().unwrap(),
            headers: &mut headers,
            body: b"",
        };
        let credentials = auth.credentials(PATIENCE).await.unwrap();
        credentials.apply(request).unwrap();
        headers
    }

    #[tokio::test]
    async fn a_header_goes_to_its_origin_only_and_is_sensitive() {
        let secret = SecretHeader::token("Bearer", SecretText::fixed("hunter2"));
        let auth = HeaderAuth::authorization(secret);
        assert!(!format!("{auth:?}").contains("hunter2"));
        let auth = OriginAuth::new(&auth, &"http://a:8080/base".parse::<Url>().unwrap());
        let headers = sent(&auth, "http://a:8080/x?y").await;
        assert_eq!(headers[AUTHORIZATION], "Bearer hunter2");
        assert!(headers[AUTHORIZATION].is_sensitive());
        for elsewhere in ["https://a:8080/x", "http://a/x", "http://b:8080/base"] {
            assert!(sent(&auth, elsewhere).await.is_empty(), "{elsewhere}");
        }
    }

    #[tokio::test]
    async fn a_refused_secret_is_read_again_and_sent_once_more_if_it_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "one").unwrap();
        let config = BearerConfig {
            token_file: Some(file.clone()),
            ..BearerConfig::default()
        };
        let auth = HeaderAuth::authorization(SecretHeader::from(&config));
        let auth = auth.at((&"http://a".parse::<Url>().unwrap()).into());
        let headers = HeaderMap::new();
        let refusal = |status| Refusal {
            status,
            headers: &headers,
        };
        let used = auth.credentials().await.unwrap();
        std::fs::write(&file, "two").unwrap();
        let forbidden = auth.refused(&used, refusal(StatusCode::FORBIDDEN)).await;
        assert!(
            forbidden.unwrap().is_none(),
            "another token is no other right"
        );
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        tokio::time::resume();
        let refusal = refusal(StatusCode::UNAUTHORIZED);
        let next = auth.refused(&used, refusal).await.unwrap().unwrap();
        let again = auth.refused(&next, refusal).await.unwrap();
        assert!(again.is_none(), "the same secret is not sent twice");
    }
}
