#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| betanet_collector::fuzz::run("transform", data));
