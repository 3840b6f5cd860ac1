#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| better_auth_jwt_fuzz::token::run(data));
