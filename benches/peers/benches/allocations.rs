//! How often one request through each layer allocates, net of the bare service behind it.
//!
//! Apart from the times, which a counting allocator would falsify. A reallocation counts as one.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering},
};

use better_auth_jwt::keys::Algorithm;
use http::Request;
use peers::{Contestant, Field, request};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: everything is passed on to the system's allocator, as it came.
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
    let secret = Field::new(Algorithm::HS256).await;
    let public = Field::new(Algorithm::EdDSA).await;
    println!("| allocations per request | HS256 | EdDSA | no token | garbage token |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (mut hs256, mut eddsa) in secret.runners.into_iter().zip(public.runners) {
        let counts = [
            count(&mut hs256.guarded, &hs256.good),
            count(&mut eddsa.guarded, &eddsa.good),
            count(&mut hs256.guarded, &[request(None)]),
            count(&mut hs256.guarded, &[request(Some("garbage"))]),
        ];
        println!("| {} | {} |", hs256.name, counts.join(" | "));
    }
}

fn count(guarded: &mut Result<Box<dyn Contestant>, &'static str>, requests: &[Request<()>]) -> String {
    match guarded {
        Ok(contestant) => {
            let meter = || COUNT.load(Ordering::Relaxed);
            // What is only done once, such as filling a cache, has been done before it counts.
            contestant.measure(requests, 1, &meter);
            format!("{:.0}", contestant.measure(requests, 1024, &meter).net())
        }
        Err(why) => (*why).to_owned(),
    }
}
