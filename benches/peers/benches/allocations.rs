//! The allocations of one request in each layer, without the inner service.
//!
//! Separate from the times, which a counting allocator would distort. A reallocation counts as one.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering},
};

use better_auth_jwt::keys::Algorithm;
use http::Request;
use peers::{Benchmark, Target, request};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: all calls are passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let secret = Benchmark::new(Algorithm::HS256).await;
    let public = Benchmark::new(Algorithm::EdDSA).await;
    println!("| allocations per request | HS256 | EdDSA | no token | garbage token |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (mut hs256, mut eddsa) in secret.cases.into_iter().zip(public.cases) {
        let counts = [
            count(&mut hs256.target, &hs256.valid),
            count(&mut eddsa.target, &eddsa.valid),
            count(&mut hs256.target, &[request(None)]),
            count(&mut hs256.target, &[request(Some("garbage"))]),
        ];
        println!("| {} | {} |", hs256.name, counts.join(" | "));
    }
}

fn count(target: &mut Result<Box<dyn Target>, &'static str>, requests: &[Request<()>]) -> String {
    match target {
        Ok(target) => {
            let meter = || COUNT.load(Ordering::Relaxed);
            // Work that happens only once, such as filling a cache, is not counted.
            target.measure(requests, 1, &meter);
            format!("{:.0}", target.measure(requests, 1024, &meter).net())
        }
        Err(why) => (*why).to_owned(),
    }
}
