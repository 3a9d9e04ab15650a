//! Programs that nobody would write, and what holds for each: no panic, the memo changes nothing, messages lie in
//! the text, laying out keeps the meaning, and what checks sums up and exports or says why not.

#![allow(clippy::panic, clippy::print_stdout)] // A test says what it found.

mod grow;
mod metamorphic;
mod oracle;

use rayon::prelude::*;

/// How many programs are grown; each test run has the same, unless `PROGRAMS=100000` asks for more.
fn programs() -> u64 {
    std::env::var("PROGRAMS").ok().and_then(|text| text.parse().ok()).unwrap_or(5_000)
}

/// The bytes that a program grows from.
fn bytes(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let length = 100 + (seed as usize * 37) % 900 + 1_500 * (seed % 2) as usize;
    let mut next = || {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Every other program is grown line by line, each of which is right, as few are by chance.
fn program(seed: u64) -> String {
    let bytes = bytes(seed);
    let choices = &mut grow::Choices::new(&bytes);
    match seed % 2 {
        0 => grow::program(choices),
        _ => grow::accepted(choices, |text| {
            !oracle::has_errors(&oracle::analyse(text, &Default::default()).1)
        }),
    }
}

/// The text without the lines that the defect does not need.
fn shortened(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let mut at = 0;
    while at < lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(at);
        match oracle::defect(&fewer.join("\n")) {
            Some(_) => lines = fewer,
            None => at += 1,
        }
    }
    lines.join("\n")
}

#[test]
fn programs_from_a_tiny_pool_of_names() {
    let defects: Vec<(u64, String)> = (0..programs())
        .into_par_iter()
        .filter_map(|seed| {
            let text = program(seed);
            oracle::defect(&text).map(|_| (seed, text))
        })
        .collect();
    for (seed, text) in defects.iter().take(5) {
        let text = shortened(text);
        println!("seed {seed}:\n{text}\n{}\n", oracle::defect(&text).unwrap_or_default());
    }
    assert!(defects.is_empty(), "{} of {}", defects.len(), programs());
}

/// The programs are not all wrong, or little of what holds for right ones would be tried.
#[test]
fn some_programs_are_right() {
    let right = (0..programs()).into_par_iter().filter(|seed| {
        let text = program(*seed);
        let (_, analysis) = oracle::analyse(&text, &Default::default());
        !oracle::has_errors(&analysis)
    });
    let right = right.count() as u64;
    println!("{right} of {} programs are right", programs());
    assert!(right > programs() / 4, "{right}");
}
