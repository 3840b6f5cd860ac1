use super::*;
use crate::header::Header;

#[test]
fn strings_that_are_not_a_jws_have_their_own_errors() {
    use ErrorKind::*;
    let session = "a".repeat(32);
    for (token, kind) in [
        ("", Malformed),
        (".", Malformed),
        ("..", Malformed),
        ("a.b", Malformed),
        ("a.b.c.d", Malformed),
        ("a.b.c.d.e", EncryptedToken),
        ("a.b.c.d.e.f", Malformed),
        ("a.b.c,Bearer d.e.f", Malformed),
        (&*session, OpaqueToken),
        (&*format!("{session}."), Malformed),
        (&*format!("{session}.FDyzCJ92X3qT3McOzfs6kDJA5Hu57vpcvsvj3kzAOiU="), OpaqueToken),
        (&*".".repeat(100_000), Malformed),
        (&*format!("{}.a.b", "e".repeat(5000)), Malformed),
        ("eyJhbGciOiJIUzI1NiJ9==.e30.AA", Malformed),
        ("{\"payload\":\"a.b.c\"}", Malformed),
    ] {
        let read = CompactJws::split(token.as_bytes()).and_then(|token| Header::decode(token.header));
        assert_eq!(read.unwrap_err().kind(), kind, "{token:.60}");
    }
}
