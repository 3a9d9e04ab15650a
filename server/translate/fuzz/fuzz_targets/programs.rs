//! Programs from a tiny pool of names, grown from the fuzzer's bytes: what tests/random_programs asks of each.

#![no_main]
#![allow(clippy::panic)] // A defect stops the fuzzer.

#[path = "../../../../tests/random_programs/grow.rs"]
mod grow;
#[path = "../../../../tests/random_programs/oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    // Few programs are right by chance, so every other one is grown line by line, each of which is right.
    let choices = &mut grow::Choices::new(bytes);
    let text = match kind % 2 {
        0 => grow::program(choices),
        _ => grow::accepted(choices, |text| {
            !oracle::has_errors(&oracle::analyse(text, &Default::default()).1)
        }),
    };
    if let Some(defect) = oracle::defect(&text) {
        panic!("{text}\n{defect}");
    }
});
