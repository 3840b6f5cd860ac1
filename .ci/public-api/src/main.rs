//! Prints the public API from rustdoc's JSON: the crates whose types are part of it, then one item per line.

use std::{collections::BTreeSet, env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    let json = env::args_os().nth(1).ok_or("usage: public-api-listing FILE")?;
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?
        .to_string();
    println!("crates: {}\n", crates(&api).into_iter().collect::<Vec<_>>().join(" "));
    print!("{api}");
    Ok(())
}

/// The first segments of all paths, except those of type parameters.
fn crates(api: &str) -> BTreeSet<&str> {
    let words = api.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | ':'));
    let first = words.filter_map(|word| word.split_once("::")).map(|(first, _)| first);
    first.filter(|name| name.starts_with(char::is_lowercase)).collect()
}
