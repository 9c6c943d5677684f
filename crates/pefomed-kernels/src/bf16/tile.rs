//! The kernel of Intel's matrix tiles (AMX): `tdpbf16ps` adds the products of a tile of 16 rows by 16
//! pairs with a tile of 16 pairs by 16 columns to a tile of 16 × 16 sums, 16,384 operations in 16
//! cycles.
//!
//! Of the eight tiles four are sums, two rows and two columns of the matrix: 32 rows by 32 columns,
//! so that every tile that is loaded is used twice. A tile takes about as long to load from the
//! second-level cache as to multiply, so the inner dimension is cut into pieces of which a panel
//! fits the first-level cache, and all rows the second: all rows pass over a panel's piece before the
//! next panel's, and over all panels before the next piece.
//!
//! The instructions have no stable intrinsics yet. Each block is one piece of inline assembly, so that
//! no tile is alive outside it; tiles are configured and released around a product, on its own thread.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

use super::pack::{LeftFactor, pack_left};
use super::{Line, Panels, in_block, vector};
use crate::matmul::{BlockMut, Matrix, MatrixMut};

/// Rows of a block: two tiles.
pub(crate) const ROWS: usize = 32;
/// Lines of a panel: two tiles.
pub(super) const LINES: usize = 2;
/// Columns of a block.
pub(crate) const COLUMNS: usize = LINES * Line::WORDS;
/// Pairs of the inner dimension in a tile.
pub(super) const PAIRS: usize = Line::WORDS;
/// Lines of one step along the inner dimension, of either factor: two tiles.
const STEP: usize = 2 * PAIRS;
/// Steps of a piece of the inner dimension: 36 KiB of a panel.
const PIECE: usize = 18;

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

/// Calls `with` with room for a left factor of so many rows and so long an inner dimension.
pub(super) fn with_left(rows: usize, inner: usize, with: impl FnOnce(&mut LeftTiles)) {
    thread_local! {
        static LINES: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
    }
    let mut left = LeftTiles { lines: LINES.take(), ..LeftTiles::default() };
    left.reshape(rows, inner);
    with(&mut left);
    LINES.set(left.lines);
}

/// `out = left · right`, or `out += …`, on this thread, for the rows that `make` puts into tiles.
pub(super) fn multiply(
    right: &Panels,
    make: impl FnOnce(LeftBlocks<'_>),
    out: MatrixMut<'_>,
    add: bool,
) {
    with_left(out.rows(), right.inner, |left| {
        make(left.all());
        multiply_packed(left, (right, 0..right.count()), out, add);
    });
}

/// `out = left · right`, or `out += …`, on this thread, for some panels of the right factor.
pub(super) fn multiply_packed(
    left: &LeftTiles,
    (right, panels): (&Panels, Range<usize>),
    mut out: MatrixMut<'_>,
    add: bool,
) {
    let steps = left.steps;
    assert_eq!((left.rows(), steps), (out.rows().next_multiple_of(ROWS), right.pairs / PAIRS));
    if steps == 0 {
        if !add {
            out.clear();
        }
        return;
    }
    let mut edge = [[0.0_f32; COLUMNS]; ROWS];
    let _configured = Configured::here();
    let right = &right.lines[panels.start * steps * STEP..panels.end * steps * STEP];
    for first in (0..steps).step_by(PIECE) {
        let piece = first * STEP..(first + PIECE).min(steps) * STEP;
        let add = add || first > 0;
        for (panel, right) in right.chunks_exact(steps * STEP).enumerate() {
            for (block, left) in left.lines[..left.used()].chunks_exact(steps * STEP).enumerate() {
                let (left, right) = (&left[piece.clone()], &right[piece.clone()]);
                in_block(&mut edge, &mut out, (block * ROWS, panel * COLUMNS), |out| {
                    multiply_block(left, right, out, add);
                });
            }
        }
    }
}

/// `out = left · right`, or `out += …`, for whole blocks: some `steps` along the inner dimension (32 of
/// it each), from a step of the left factor and one of the right on, and some panels of 32 columns.
/// Rows of `out` are `stride` apart, and there are as many as [`LeftTiles::rows`].
pub(crate) fn multiply_part(
    _configured: &Configured,
    (left, left_step): (&LeftTiles, usize),
    (right, right_step, panels): (&Panels, usize, Range<usize>),
    steps: usize,
    (out, stride): (&mut [f32], usize),
    add: bool,
) {
    if steps == 0 {
        return;
    }
    let right_steps = right.pairs / PAIRS;
    for (column, panel) in panels.enumerate() {
        let lines = &right.lines[(panel * right_steps + right_step) * STEP..][..steps * STEP];
        for block in 0..left.blocks {
            let left = &left.lines[(block * left.steps + left_step) * STEP..][..steps * STEP];
            let out = &mut out[block * ROWS * stride + column * COLUMNS..];
            multiply_block(left, lines, BlockMut::strided(out, stride), add);
        }
    }
}

/// A left factor tile by tile, in the order in which tiles are multiplied: for each block of 32
/// rows, for each 16 pairs of the inner dimension, the upper and the lower tile.
#[derive(Default)]
pub(crate) struct LeftTiles {
    blocks: usize,
    steps: usize,
    /// There may be more memory than the factor needs.
    lines: Vec<Line>,
}

/// Some blocks of a left factor, to be packed.
pub(crate) struct LeftBlocks<'a> {
    steps: usize,
    lines: &'a mut [Line],
}

impl LeftTiles {
    /// Packs `a`.
    pub(crate) fn pack(&mut self, a: Matrix<'_>) {
        self.reshape(a.rows(), a.columns());
        self.all().pack(a);
    }

    /// Makes room for so many rows and so long an inner dimension. Every row of every block is to be
    /// put then.
    pub(crate) fn reshape(&mut self, rows: usize, inner: usize) {
        (self.blocks, self.steps) = (rows.div_ceil(ROWS), inner.div_ceil(2 * PAIRS));
        // Memory that was larger before stays so, lest it be zeroed again.
        if self.lines.len() < self.used() {
            self.lines.resize(self.used(), Line::ZERO);
        }
    }

    /// Lines that hold the factor.
    fn used(&self) -> usize {
        self.blocks * self.steps * STEP
    }

    /// Steps of 32 along the inner dimension.
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    /// Rows, with those that fill the last block.
    pub(crate) fn rows(&self) -> usize {
        self.blocks * ROWS
    }

    /// All blocks.
    pub(crate) fn all(&mut self) -> LeftBlocks<'_> {
        let used = self.used();
        LeftBlocks { steps: self.steps, lines: &mut self.lines[..used] }
    }

    /// Blocks of `rows` rows each, a multiple of those of a block, with the rows that they hold of `count`.
    pub(super) fn split(
        &mut self,
        count: usize,
        rows: usize,
    ) -> impl IndexedParallelIterator<Item = (Range<usize>, LeftBlocks<'_>)> {
        let (steps, used) = (self.steps, self.used());
        let parts = self.lines[..used].par_chunks_mut((rows / ROWS * steps * STEP).max(1));
        parts.with_max_len(1).enumerate().map(move |(part, lines)| {
            let rows = part * rows..((part + 1) * rows).min(count);
            (rows, LeftBlocks { steps, lines })
        })
    }
}

impl LeftBlocks<'_> {
    /// Packs `a`. Rows and pairs that fill the last block are zero.
    pub(crate) fn pack(&mut self, a: Matrix<'_>) {
        self.clear_rows(a.rows());
        pack_left(a, self);
    }

    /// Puts zeros into all rows from the `first` on.
    pub(super) fn clear_rows(&mut self, first: usize) {
        let rows = self.lines.len().checked_div(self.steps * STEP).unwrap_or(0) * ROWS;
        for row in first..rows {
            for step in 0..self.steps {
                self.put(row, step, Line::ZERO);
            }
        }
    }

    /// Whether it has room for so many rows, no block more, and so long an inner dimension.
    pub(super) fn fits(&self, rows: usize, inner: usize) -> bool {
        let steps = inner.div_ceil(2 * PAIRS);
        self.steps == steps && self.lines.len() == rows.div_ceil(ROWS) * steps * STEP
    }
}

impl LeftFactor for LeftBlocks<'_> {
    #[inline]
    fn put(&mut self, row: usize, step: usize, words: Line) {
        self.lines[(row / ROWS * self.steps + step) * STEP + row % ROWS] = words;
    }
}

impl Panels {
    /// Puts the sixteen columns of a line, for a pair of the inner dimension, into panels for tiles.
    #[inline]
    pub(super) fn put(&mut self, pair: usize, line: usize, words: Line) {
        self.lines[(line / LINES * self.pairs + pair) * LINES + line % LINES] = words;
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
    pub(crate) fn here() -> Self {
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
fn multiply_block(left: &[Line], right: &[Line], out: BlockMut<'_, ROWS, COLUMNS>, add: bool) {
    let steps = right.len() / STEP;
    assert!(right.len() == steps * STEP && steps > 0 && left.len() >= right.len());
    let (out, stride) = out.into_parts();
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    // SAFETY: `multiply_packed` and `multiply_part`, which alone call this, hold configured tiles; the assert
    // above and the block are the bounds of everything that is read and written.
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
