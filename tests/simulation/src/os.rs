//! The system's randomness and its time of day, given by the seed.
//!
//! The code under simulation draws random bytes and reads the time of day where it needs them (ids, jitter, stamps; the
//! hash tables and the `select!` of libraries too). So that a seed says everything, this program has its own `getrandom` and
//! `clock_gettime`: the linker prefers them to those of the C library, for all code in the process. Until [`steer`] is called
//! they ask the kernel. Hash tables seed themselves by addresses, so programs for seeds are started with fixed ones; where a
//! system does not allow that, the order of such a table may differ from run to run, as it may in reality. The monotonic clock is always the kernel's: tokio's own clock is paused and stepped by the hosts.
#![allow(
    unsafe_code,
    reason = "the two functions replace those of the C library, which only their C signatures can"
)]

use std::cell::Cell;
use std::ffi::{c_int, c_long, c_uint};

use crate::rng::Rng;

/// 2030-01-01 00:00:00 UTC, in seconds: the day on which every simulation begins.
const DAWN_SECONDS: i64 = 1_893_456_000;
/// Clocks of `clock_gettime` that go with the simulation: real time, its coarse variant, and the time since boot.
const STEERED: [c_int; 3] = [0, 5, 7];

#[cfg(target_arch = "x86_64")]
const CLOCK_GETTIME: c_long = 228;
#[cfg(target_arch = "x86_64")]
const GETRANDOM: c_long = 318;
#[cfg(target_arch = "aarch64")]
const CLOCK_GETTIME: c_long = 113;
#[cfg(target_arch = "aarch64")]
const GETRANDOM: c_long = 278;
/// Addresses are not drawn at random: hash tables seed themselves by them.
const FIXED_ADDRESSES: u64 = 0x004_0000;

thread_local! {
    static RANDOM: Cell<Option<u64>> = const { Cell::new(None) };
    static NOW_MICROS: Cell<Option<u64>> = const { Cell::new(None) };
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn personality(persona: u64) -> c_int;
    fn alarm(seconds: c_uint) -> c_uint;
}

/// Seconds and nanoseconds, as the C library has them.
#[repr(C)]
#[derive(Debug)]
pub struct Timespec {
    seconds: i64,
    nanos: c_long,
}

/// From now on random bytes on this thread come from `seed`, and the time of day from [`set_now`].
pub fn steer(seed: u64) {
    RANDOM.set(Some(seed));
    NOW_MICROS.set(Some(0));
}

/// Sets the time since the simulation began.
pub fn set_now(micros: u64) {
    NOW_MICROS.set(Some(micros));
}

/// The time since the simulation began, in microseconds.
#[must_use]
pub fn now() -> u64 {
    NOW_MICROS.get().unwrap_or_default()
}

/// Programs started from here have the same addresses each time. Tells whether the system allows that: some containers
/// do not.
pub fn fix_addresses() -> bool {
    // SAFETY: takes a number, and changes nothing of the present process' memory.
    unsafe { personality(FIXED_ADDRESSES) >= 0 }
}

/// Ends this process by a signal when it is still there after so long: something in it goes round in circles.
pub fn end_after(seconds: u32) {
    // SAFETY: takes a number, and nobody here has asked for another alarm.
    let _none_before = unsafe { alarm(seconds) };
}

/// Takes the place of the C library's function of this name.
///
/// # Safety
///
/// `buffer` must have room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, flags: c_uint) -> isize {
    let Some(state) = RANDOM.get() else {
        // SAFETY: the arguments are those of the system call, and the caller's.
        return unsafe { syscall(GETRANDOM, buffer, length, flags) as isize };
    };
    if length > 0 {
        // SAFETY: the caller gives room for `length` bytes.
        let bytes = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
        let mut rng = Rng::new(state);
        bytes.fill_with(|| rng.draw() as u8);
        RANDOM.set(Some(rng.draw()));
    }
    length as isize
}

/// Takes the place of the C library's function of this name.
///
/// # Safety
///
/// `into` must have room for a `timespec`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, into: *mut Timespec) -> c_int {
    match NOW_MICROS.get().filter(|_| STEERED.contains(&clock)) {
        Some(micros) => {
            let time = Timespec {
                seconds: DAWN_SECONDS + (micros / 1_000_000) as i64,
                nanos: (micros % 1_000_000 * 1000) as c_long,
            };
            // SAFETY: the caller gives room for one.
            unsafe { into.write(time) };
            0
        }
        // SAFETY: the arguments are those of the system call, and the caller's.
        None => unsafe { syscall(CLOCK_GETTIME, c_long::from(clock), into) as c_int },
    }
}
