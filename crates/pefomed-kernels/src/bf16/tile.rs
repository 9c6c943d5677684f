//! The kernel of Intel's matrix tiles (AMX): `tdpbf16ps` adds the products of a tile of 16 rows by 16
//! pairs with a tile of 16 pairs by 16 columns to a tile of 16 × 16 sums, 16,384 operations in 16
//! cycles.
//!
//! Of the eight tiles four are sums, two rows and two columns of the matrix: 32 rows by 32 columns,
//! so that every tile that is loaded is used twice. A tile takes about as long to load from the
//! second-level cache as to multiply.
//!
//! The instructions have no stable intrinsics yet. Each block is one piece of inline assembly, so that
//! no tile is alive outside it; tiles are configured and released around a product, on its own thread.

#![allow(unsafe_code)]

use super::blocks::{COLUMNS, ROWS, STEP};
use super::{Line, vector};
use crate::matmul::BlockMut;

/// Whether this processor has the instructions and the system lets this process use them.
pub(super) fn available() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    {
        static AVAILABLE: std::sync::LazyLock<bool> =
            std::sync::LazyLock::new(|| vector::available() && x86::permitted());
        *AVAILABLE
    }
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    {
        false
    }
}

/// Tiles of this thread, configured as 16 rows of 64 bytes until this is dropped.
pub(crate) struct Configured {
    /// Not to be sent to another thread.
    _here: std::marker::PhantomData<*const ()>,
}

impl Configured {
    /// Configures them.
    ///
    /// # Panics
    /// When the processor has none.
    pub(super) fn here() -> Self {
        assert!(available());
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        // SAFETY: the processor has tiles, and the system gave the permission.
        unsafe {
            x86::configure();
        }
        Self { _here: std::marker::PhantomData }
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        // SAFETY: as in `here`.
        unsafe {
            x86::release();
        }
    }
}

/// One block over one piece: `left` begins at the piece in a block of 32 rows, and `right` is the
/// piece of a panel.
pub(super) fn multiply_block(
    _configured: &Configured,
    left: &[Line],
    right: &[Line],
    out: BlockMut<'_, ROWS, COLUMNS>,
    add: bool,
) {
    let steps = right.len() / STEP;
    assert!(right.len() == steps * STEP && steps > 0 && left.len() >= right.len());
    let (out, stride) = out.into_parts();
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    // SAFETY: tiles are configured; the assert above and the block are the bounds of everything that is read
    // and written.
    unsafe {
        x86::multiply_block(steps, left.as_ptr(), right.as_ptr(), out, stride, add);
    }
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    unreachable!("`available` says that there is no such kernel ({out:?}, {stride}, {add})");
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod x86 {
    use std::arch::asm;
    use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

    use super::{Line, STEP};

    /// Whether the processor has bfloat16 tiles, the system saves them, and lets this process have
    /// them (Linux grants them on request, to all threads).
    pub(super) fn permitted() -> bool {
        const LEAF_FEATURES: u32 = 7;
        const AMX_BF16_AND_TILE: u32 = 1 << 22 | 1 << 24;
        const OSXSAVE: u32 = 1 << 27;
        const TILE_STATE: u64 = 1 << 17 | 1 << 18;
        const ARCH_PRCTL: i64 = 158;
        const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
        const XFEATURE_XTILEDATA: i64 = 18;
        if __cpuid(0).eax < LEAF_FEATURES
            || __cpuid_count(LEAF_FEATURES, 0).edx & AMX_BF16_AND_TILE != AMX_BF16_AND_TILE
            || __cpuid(1).ecx & OSXSAVE == 0
        {
            return false;
        }
        // SAFETY: OSXSAVE says that the instruction is there.
        if unsafe { saved_states() } & TILE_STATE != TILE_STATE {
            return false;
        }
        let result: i64;
        // SAFETY: a system call with two numbers; it touches no memory of this process.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") ARCH_PRCTL => result,
                in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") XFEATURE_XTILEDATA,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
        result == 0
    }

    #[target_feature(enable = "xsave")]
    unsafe fn saved_states() -> u64 {
        // SAFETY: the caller has asked whether the instruction is there.
        unsafe { _xgetbv(0) }
    }

    /// The configuration: palette 1, eight tiles of 16 rows of 64 bytes.
    #[repr(C, align(64))]
    struct Configuration([u8; 64]);

    static CONFIGURATION: Configuration = {
        let mut bytes = [0; 64];
        bytes[0] = 1;
        let mut tile = 0;
        while tile < 8 {
            bytes[16 + 2 * tile] = 64;
            bytes[48 + tile] = 16;
            tile += 1;
        }
        Configuration(bytes)
    };

    /// # Safety
    /// The processor must have tiles, and this process the permission.
    pub(super) unsafe fn configure() {
        // SAFETY: it reads 64 bytes; no tile is alive outside `multiply_block`.
        unsafe {
            asm!(
                "ldtilecfg [{}]",
                in(reg) CONFIGURATION.0.as_ptr(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly),
            );
        }
    }

    /// # Safety
    /// As [`configure`].
    pub(super) unsafe fn release() {
        // SAFETY: no tile is alive outside `multiply_block`.
        unsafe {
            asm!("tilerelease", options(nostack, nomem));
        }
    }

    /// # Safety
    /// Tiles must be configured on this thread. `left` and `right` hold `steps` times 32 lines
    /// (`steps > 0`), and `out` 32 rows of 32 values, `stride` apart.
    pub(super) unsafe fn multiply_block(
        steps: usize,
        left: *const Line,
        right: *const Line,
        out: *mut f32,
        stride: usize,
        add: bool,
    ) {
        // SAFETY: the caller's promise covers it.
        let lower_out = unsafe { out.add(16 * stride) };
        // SAFETY: every tile that is loaded or stored lies within what the caller promises.
        unsafe {
            asm!(
                "test {add:e}, {add:e}",
                "jnz 3f",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "jmp 2f",
                "3:",
                "tileloadd tmm0, [{out} + {out_step}]",
                "tileloadd tmm1, [{out} + {out_step} + 64]",
                "tileloadd tmm2, [{lower_out} + {out_step}]",
                "tileloadd tmm3, [{lower_out} + {out_step} + 64]",
                "2:",
                "tileloadd tmm4, [{left} + {left_step}]",
                "tileloadd tmm6, [{right} + {right_step}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{right} + {right_step} + 64]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{left} + {left_step} + 1024]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {left}, {STEP_BYTES}",
                "add {right}, {STEP_BYTES}",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{out} + {out_step}], tmm0",
                "tilestored [{out} + {out_step} + 64], tmm1",
                "tilestored [{lower_out} + {out_step}], tmm2",
                "tilestored [{lower_out} + {out_step} + 64], tmm3",
                add = in(reg) u32::from(add),
                steps = inout(reg) steps => _,
                left = inout(reg) left => _,
                left_step = in(reg) size_of::<Line>(),
                right = inout(reg) right => _,
                right_step = in(reg) 2 * size_of::<Line>(),
                out = in(reg) out,
                lower_out = in(reg) lower_out,
                out_step = in(reg) stride * 4,
                STEP_BYTES = const STEP * size_of::<Line>(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}
