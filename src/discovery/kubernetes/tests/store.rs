//! What is remembered of a cluster.

use super::*;

#[test]
fn a_list_forgets_what_it_does_not_name_in_its_own_namespace_only() {
    let in_namespace = |namespace: &str, name: &str| {
        let mut pod = pod();
        pod["metadata"]["namespace"] = json!(namespace);
        pod["metadata"]["name"] = json!(name);
        pod
    };
    let (stays, goes) = (in_namespace("a", "stays"), in_namespace("a", "goes"));
    let other = in_namespace("b", "other");
    let mut cluster = store(&[stays.clone(), goes, other]);
    let seen = BTreeSet::from([key(&stays)]);
    cluster.keep(Resource::Pods, Some("a"), &seen);
    let names = |cluster: &Store| {
        let found = found(cluster, Role::Pod, NOTHING).into_iter();
        let names = found.map(|target| target.labels["__meta_kubernetes_pod_name"].clone());
        names.collect::<BTreeSet<_>>()
    };
    assert_eq!(
        names(&cluster),
        BTreeSet::from(["other", "stays"].map(str::to_owned))
    );
    cluster.keep(Resource::Pods, None, &seen);
    assert_eq!(names(&cluster), BTreeSet::from(["stays".to_owned()]));
}

#[test]
fn objects_and_targets_take_a_bounded_amount_of_memory() {
    let mut large = pod();
    let value = "x".repeat(1 << 20);
    large["metadata"]["annotations"] = json!({ "large": value });
    let mut store = Store::new(8 << 20);
    let put = |store: &mut Store, number: usize| {
        let mut named = large.clone();
        named["metadata"]["name"] = json!(number.to_string());
        store.put(Resource::Pods, key(&named), record::<Pod>(&named))
    };
    let most = 8;
    let refused = (0..=most).find(|number| put(&mut store, *number).is_err());
    let refused = refused.expect("not more than the limit");
    assert!(refused > most - 2, "{refused}");
    // Each has four targets, which repeat its labels.
    assert_eq!(store.groups(Role::Pod, NOTHING), Err(TooLarge));
    // What goes makes room; what is replaced takes none.
    store.remove(
        Resource::Pods,
        &ObjectKey {
            namespace: "default".to_owned(),
            name: "0".to_owned(),
        },
    );
    assert_eq!(put(&mut store, 1), Ok(()));
    assert_eq!(put(&mut store, refused), Ok(()));
    assert_eq!(put(&mut store, refused + 1), Err(TooLarge));
}
