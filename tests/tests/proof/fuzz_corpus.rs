//! Runs the fuzz targets with the seeds, the corpus, and modified inputs, without the fuzzers.

use std::{fs, path::Path};

use crate::{fuzzed, rng::Rng};

#[test]
fn authorization_headers() {
    replay("header", fuzzed::header::run);
}

#[test]
fn tokens() {
    replay("token", fuzzed::token::run);
}

#[test]
fn key_sets() {
    replay("jwks", fuzzed::jwks::run);
}

#[test]
fn paths() {
    replay("path", fuzzed::path::run);
}

/// The number of modified inputs, in addition to the corpus itself.
const CHANGED: usize = 5000;

fn replay(target: &str, run: fn(&[u8])) {
    let corpus = corpus(target);
    corpus.iter().for_each(|input| run(input));
    let mut rng = Rng::new(2);
    for _ in 0..CHANGED {
        let mut input = rng.choose(&corpus).clone();
        for _ in 0..1 + rng.below(4) {
            let other = rng.choose(&corpus);
            change(&mut input, other, &mut rng);
        }
        run(&input);
    }
}

/// The hand-written seeds and the inputs that the fuzzers found.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/better-auth-jwt/fuzz");
    let mut paths = Vec::new();
    for kind in ["seeds", "corpus"] {
        let directory = fuzz.join(kind).join(target);
        let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        paths.extend(files.map(|file| file.expect("a file").path()));
    }
    // The order of a directory is not defined.
    paths.sort();
    let inputs: Vec<_> = paths.iter().map(|path| fs::read(path).expect("a readable file")).collect();
    assert!(inputs.len() > 50, "{target} has only {} inputs", inputs.len());
    inputs
}

/// Modifies an input, or inserts a part of another one.
fn change(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let position = rng.below(input.len() + 1);
    let end = (position + rng.below(9)).min(input.len());
    match rng.below(5) {
        0 => _ = input.drain(position..end),
        1 => input.insert(position, rng.below(256) as u8),
        2 => input.truncate(position),
        3 => {
            let from = rng.below(other.len() + 1);
            let part = other[from..(from + rng.below(32)).min(other.len())].iter().copied();
            input.splice(position..end, part);
        }
        _ => {
            if let Some(byte) = input.get_mut(position) {
                *byte ^= 1 << rng.below(8);
            }
        }
    }
}
