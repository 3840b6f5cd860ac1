use super::*;

fn parse(text: &str) -> Result<Document, InvalidJson> {
    Document::parse(text.to_owned())
}

fn is_rejected(text: &str) -> bool {
    parse(text).is_err()
}

#[test]
fn members_are_found_with_their_values() {
    let document = parse(r#" {"a": 1.5e3 ,"b":"x","c":[1,"]",{"d":[]}],"e":null,"":{}} "#).unwrap();
    assert_eq!(document.find("a").unwrap().raw(), "1.5e3");
    assert_eq!(document.find("b").unwrap().as_str(), Some("x"));
    assert_eq!(document.find("c").unwrap().raw(), r#"[1,"]",{"d":[]}]"#);
    assert!(document.find("e").unwrap().is_null());
    assert_eq!(document.find("").unwrap().raw(), "{}");
    assert!(document.find("d").is_none());
}

#[test]
fn whitespace_between_tokens_changes_nothing() {
    let dense = r#"{"a":-1.5e3,"b":{"c":[true,"x y",{}],"d":"\u0041"},"e":[],"f":null}"#;
    for whitespace in [" ", "\t", "\n", "\r", " \r\n\t "] {
        // At one position where whitespace is allowed, and at all of them.
        let positions: Vec<usize> =
            dense.match_indices([',', ':', '{', '}', '[', ']']).map(|(position, _)| position).collect();
        for chosen in positions.iter().map(|position| vec![*position]).chain([positions.clone()]) {
            let mut text = dense.to_owned();
            for position in chosen.iter().rev() {
                text.insert_str(position + 1, whitespace);
                text.insert_str(*position, whitespace);
            }
            let document = parse(&text).unwrap();
            let names: Vec<_> = document.members().map(Value::name).collect();
            assert_eq!(names, ["a", "b", "e", "f"], "{text}");
            assert_eq!(document.find("a").unwrap().raw(), "-1.5e3", "{text}");
        }
    }
    assert!(is_rejected(r#"{"a":1 2}"#));
    assert!(is_rejected(r#"{"a":t rue}"#));
    assert!(is_rejected(r#"{"a": 1, "a": 2}"#));
}

#[test]
fn many_members_are_found_in_order() {
    for count in [15, 16, 17, 40] {
        let names: Vec<String> = (0..count).map(|number| format!("name{number}")).collect();
        let members: Vec<String> = names.iter().map(|name| format!(r#""{name}":"of {name}""#)).collect();
        let document = parse(&format!("{{{}}}", members.join(","))).unwrap();
        assert!(document.members().map(Value::name).eq(names.iter().map(String::as_str)), "{count}");
        for name in &names {
            assert_eq!(document.find(name).unwrap().as_str(), Some(&*format!("of {name}")));
        }
    }
}

#[test]
fn every_byte_of_a_number_is_checked_at_every_position() {
    for length in 1..40 {
        let digits = "9081726354".repeat(4);
        let number = &digits[..length];
        for (before, after) in [("", ""), ("-", ""), ("1.", ""), ("1e", ""), ("1E+", ""), ("", "e5"), ("", ".5")] {
            let json = format!("{before}{number}{after}");
            // With and without at least eight bytes after it.
            for rest in ["}", r#","b":"something"}"#] {
                let document = parse(&format!(r#"{{"a":{json}{rest}"#)).unwrap();
                assert_eq!(document.find("a").unwrap().raw(), json);
            }
        }
        for position in 0..=length {
            for bad in ["/", ":", "a", "\u{1}", "é", "\u{7f}", "1 1", "-"] {
                let (head, tail) = number.split_at(position);
                let text = format!(r#"{{"a":{head}{bad}{tail}1,"b":"something"}}"#);
                // A minus is allowed before the digits only.
                let is_sign = bad == "-" && position == 0;
                assert_eq!(is_rejected(&text), !is_sign, "{text}");
            }
        }
    }
}

#[test]
fn escapes_are_decoded_in_names_and_strings() {
    let document = parse(r#"{"\u0073ub":"\ud83d\ude00\n\"é\/","x":"\\"}"#).unwrap();
    assert_eq!(document.find("sub").unwrap().as_str(), Some("😀\n\"é/"));
    assert_eq!(document.find("x").unwrap().as_str(), Some("\\"));
}

#[test]
fn elements_of_an_array_are_listed() {
    let document = parse(r#"{"aud":[ "a" ,{"b":[1,2]}, [] ],"none":[],"text":"[]"}"#).unwrap();
    let elements = |name: &str| document.find(name).unwrap().elements().map(|elements| elements.collect::<Vec<_>>());
    assert_eq!(elements("aud").unwrap(), [r#""a""#, r#"{"b":[1,2]}"#, "[]"]);
    assert_eq!(elements("none").unwrap(), Vec::<&str>::new());
    assert!(elements("text").is_none());
}

#[test]
fn duplicates_are_rejected_at_any_depth_and_however_they_are_written() {
    assert!(is_rejected(r#"{"a":1,"a":1}"#));
    assert!(is_rejected(r#"{"sub":1,"s\u0075b":1}"#));
    assert!(is_rejected(r#"{"x":[{"y":{"a":1,"b":2,"a":3}}]}"#));
    assert!(is_rejected(r#"{"":1,"":2}"#));
    assert!(!is_rejected(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}"#));
}

#[test]
fn duplicates_are_rejected_among_many_members() {
    for (count, duplicate) in [(16, 0), (17, 3), (17, 16), (300, 0), (300, 298)] {
        let mut names: Vec<String> = (0..count).map(|n| format!(r#""name{n}":{n}"#)).collect();
        let all_different = format!("{{{}}}", names.join(","));
        assert!(!is_rejected(&all_different), "{count}");
        names.push(format!(r#""name{duplicate}":0"#));
        assert!(is_rejected(&format!("{{{}}}", names.join(","))), "{count} {duplicate}");
    }
}

#[test]
fn text_that_is_not_a_strict_json_object_is_rejected() {
    for text in [
        "",
        " ",
        "null",
        "[]",
        "1",
        r#""x""#,
        "{",
        "}",
        "{}{}",
        "{} x",
        "\u{feff}{}",
        "{,}",
        "{a:1}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[,]}"#,
        r#"{"a":[1 2]}"#,
        r#"{"a":01}"#,
        r#"{"a":+1}"#,
        r#"{"a":.5}"#,
        r#"{"a":1.}"#,
        r#"{"a":1e}"#,
        r#"{"a":-}"#,
        r#"{"a":0x1}"#,
        r#"{"a":NaN}"#,
        r#"{"a":Infinity}"#,
        r#"{"a":tru}"#,
        r#"{"a":TRUE}"#,
        r#"{"a":'b'}"#,
        r#"{"a":"b}"#,
        "{\"a\":\"\n\"}",
        "{\"a\":\"\0\"}",
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12"}"#,
        r#"{"a":"\u12g4"}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\udc00"}"#,
        r#"{"a":"\ud800\u0041"}"#,
        r#"{"a":"\ud800x"}"#,
        "{\"a\":1 /* c */}",
        "{\"a\":1}\0",
        "{\u{a0}}",
    ] {
        assert!(is_rejected(text), "{text}");
    }
}

#[test]
fn nesting_is_bounded_at_the_documented_depth() {
    let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    assert!(!is_rejected(&nested(MAX_DEPTH)));
    assert!(is_rejected(&nested(MAX_DEPTH + 1)));
    let arrays = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(!is_rejected(&arrays(MAX_DEPTH - 1)));
    assert!(is_rejected(&arrays(MAX_DEPTH)));
    assert!(is_rejected(&arrays(100_000)));
}

#[test]
fn every_byte_of_a_string_is_checked_at_every_position() {
    for length in 0..40 {
        let plain = "é".repeat(length / 2) + &"x".repeat(length % 2);
        let document = parse(&format!(r#"{{"a":"{plain}"}}"#)).unwrap();
        assert_eq!(document.find("a").unwrap().as_str(), Some(&*plain));
        for bad in ["\u{1}", "\u{1f}", "\"", "\\"] {
            let text = format!(r#"{{"a":"{}{bad}{}"}}"#, "x".repeat(length), "y".repeat(20));
            assert!(is_rejected(&text), "{text}");
        }
    }
}

#[test]
fn a_single_string_is_unescaped() {
    assert_eq!(unescape(r#""ab""#).unwrap(), "ab");
    assert_eq!(unescape(r#""a\u0062""#).unwrap(), "ab");
    assert_eq!(unescape(r#""""#).unwrap(), "");
    assert!(unescape("1").is_none());
}
