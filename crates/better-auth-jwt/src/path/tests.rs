use http::Request;

use super::*;

fn value(template: &str, path: &str) -> Result<String, PathError> {
    let (mut parts, ()) = Request::builder().uri(path).body(()).unwrap().into_parts();
    PathTemplate::new(template).unwrap().extract(&mut parts).map(Cow::into_owned)
}

#[test]
fn the_template_gives_the_position_of_the_value() {
    for (template, path) in [
        ("/api/{user_id}/*", "/api/ada/tasks"),
        ("/api/{user_id}/*", "/api/ada/"),
        ("/api/{user_id}/*", "/api/ada"),
        ("/api/{user_id}/*", "/api/ada/tasks/1/x?y=/api/bob/"),
        ("/api/{user_id}", "/api/ada"),
        ("/{user}", "/ada"),
        ("/*/x/{u}/y", "/org/x/ada/y"),
        ("/api/{user_id}/tasks", "http://bob@other.example/api/ada/tasks"),
    ] {
        assert_eq!(value(template, path), Ok("ada".to_owned()), "{template} {path}");
    }
}

#[test]
fn a_path_that_does_not_fit_has_no_value() {
    for (template, path) in [
        ("/api/{user_id}/*", "/"),
        ("/api/{user_id}/*", "/api"),
        ("/api/{user_id}/*", "/api/"),
        ("/api/{user_id}/*", "/api//tasks"),
        ("/api/{user_id}/*", "//api/ada/tasks"),
        ("/api/{user_id}/*", "/API/ada/tasks"),
        ("/api/{user_id}/*", "/%61pi/ada/tasks"),
        ("/api/{user_id}", "/api/ada/"),
        ("/api/{user_id}", "/api/ada/tasks"),
        ("/api/{user_id}/tasks", "/api/ada/task"),
        ("/api/{user_id}/tasks", "*"),
    ] {
        assert_eq!(value(template, path), Err(PathError::Missing), "{template} {path}");
    }
}

#[test]
fn segments_are_decoded_once_and_compared_as_bytes() {
    for (segment, expected) in [
        ("%61da", "ada"),
        ("%2561da", "%61da"),
        ("%252e%252e", "%2e%2e"),
        ("a+b", "a+b"),
        ("a;v=1", "a;v=1"),
        ("%C3%A9", "é"),
        ("e%CC%81", "e\u{301}"),
        ("%EF%BC%A1lice", "Ａlice"),
        ("a%20b", "a b"),
        ("%C2%85", "\u{85}"),
        ("%EF%BB%BFa", "\u{feff}a"),
        ("...", "..."),
        ("%7e", "~"),
        ("%25", "%"),
    ] {
        assert_eq!(decode_segment(segment).as_deref(), Ok(expected), "{segment}");
    }
}

#[test]
fn separators_control_characters_relative_segments_and_broken_escapes_are_rejected() {
    for segment in [
        "a%2Fb",
        "a%2fb",
        "a%5Cb",
        "a\\b",
        "%00",
        "a%0d%0a",
        "%1f",
        "%7F",
        ".",
        "..",
        "%2e",
        "%2E%2e",
        ".%2e",
        "%",
        "a%",
        "a%4",
        "%zz",
        "%4g",
        "%-1",
        "%+1",
        "al%ff",
        "%C3",
        "%ED%A0%80",
        "%é1",
    ] {
        assert_eq!(decode_segment(segment), Err(PathError::Invalid), "{segment}");
    }
}

#[test]
fn templates_without_exactly_one_value_are_rejected() {
    for template in [
        "",
        "api/{user}",
        "/api",
        "/{a}/{b}",
        "/api/{}",
        "/api/x{user}",
        "/api/{user}x",
        "/api/{user}/a*",
        "/{*rest}/{",
    ] {
        assert!(PathTemplate::new(template).is_err(), "{template}");
    }
}
