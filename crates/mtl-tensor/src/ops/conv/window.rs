//! Memory that several tasks write at once, each its own elements.

use crate::Real;

/// A place in memory that other tasks, on other threads, write beside and between.
///
/// The strips of one image own rows of its channel planes, which lie a whole plane apart: as slices they would overlap, so
/// this stays a pointer, and each write touches elements of the writing task's strip only.
#[derive(Clone, Copy)]
pub(super) struct Window<T> {
    start: *mut T,
    len: usize,
}
// SAFETY: only handed to tasks that write disjoint elements.
#[allow(unsafe_code)]
unsafe impl<T: Send> Send for Window<T> {}
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Window<T> {}

impl<T: Real> Window<T> {
    pub(super) fn of(numbers: &mut [T]) -> Self {
        Self { start: numbers.as_mut_ptr(), len: numbers.len() }
    }

    /// The same memory from `offset` on.
    pub(super) fn from(&self, offset: usize) -> Self {
        assert!(offset <= self.len);
        // SAFETY: the assertion keeps the new start inside the allocation, or one past its end.
        #[allow(unsafe_code)]
        Self { start: unsafe { self.start.add(offset) }, len: self.len - offset }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn as_ptr(&self) -> *mut T {
        self.start
    }

    /// Sets `count` elements from `offset` on.
    pub(super) fn fill(&self, offset: usize, count: usize, value: T) {
        assert!(offset + count <= self.len);
        for at in offset..offset + count {
            // SAFETY: inside the window by the assertion; the caller's task owns these elements.
            #[allow(unsafe_code)]
            unsafe {
                self.start.add(at).write(value);
            }
        }
    }
}
