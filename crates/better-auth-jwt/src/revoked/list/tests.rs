use super::*;

fn id(n: usize) -> Arc<[u8]> {
    n.to_string().as_bytes().into()
}

#[test]
fn one_insertion_removes_only_some_of_the_expired_entries() {
    let mut list = List::default();
    for n in 0..1000 {
        list.add("a", Kind::Session, &n.to_string(), 10, usize::MAX, |_| false).unwrap();
    }
    for n in 0..10 {
        list.add("a", Kind::Session, &format!("new {n}"), 20, usize::MAX, |time| time <= 10).unwrap();
    }
    assert_eq!(list.len(), 1000 - 10 * MAX_PURGED + 10);
}

#[test]
fn a_full_list_finds_the_expired_entries_of_every_issuer() {
    let mut list = List::default();
    list.add("a", Kind::User, "ada", 10, 2, |_| false).unwrap();
    list.add("b", Kind::Session, "phone", 20, 2, |_| false).unwrap();
    assert!(list.add("c", Kind::Session, "laptop", 30, 2, |time| time <= 5).is_err());
    list.add("c", Kind::Session, "laptop", 30, 2, |time| time <= 10).unwrap();
    assert_eq!((list.len(), list.issuers.len()), (2, 2), "an issuer without entries takes no memory");
}

#[test]
fn extended_entries_never_hide_an_expired_one() {
    let mut map = ExpiringMap::default();
    for n in 0..100 {
        map.insert(id(n), 10);
        map.extend(&id(n), 100);
    }
    map.insert(id(100), 11);
    assert_eq!(map.purge(|time| time <= 11), 1);
    assert_eq!((map.get(&id(0)), map.get(&id(100))), (Some(100), None));
    assert_eq!(map.queue.len(), map.times.len());
    while map.purge(|time| time <= 100) > 0 {}
    assert!(map.is_empty() && map.queue.is_empty());
}

#[test]
fn long_ids_take_as_much_memory_as_short_ones_and_differ_in_every_byte() {
    let long = "x".repeat(8000);
    assert_eq!(key(&long).len(), 32);
    assert_ne!(key(&long), key(&format!("{long}y")));
    assert_eq!(&*key(&long[..MAX_ID]), &long.as_bytes()[..MAX_ID]);
}
