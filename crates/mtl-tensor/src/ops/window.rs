//! Memory that several tasks write at once, each its own elements.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// A part of memory that tasks on several threads write, each its own elements.
///
/// The strips of one image own rows of its channel planes, which lie a whole plane apart: as slices they would overlap, so
/// this stays a pointer. Copies of a window must write different elements: that is the
/// contract of this module with `direct`, `winograd` and `im2col`, whose strips divide an image's rows.
#[derive(Clone, Copy)]
pub(super) struct Window<'a, T> {
    start: *mut T,
    len: usize,
    memory: PhantomData<&'a mut [T]>,
}
// SAFETY: a window is a mutable borrow of numbers that can be sent; the contract above keeps its copies apart.
#[allow(unsafe_code)]
unsafe impl<T: Send> Send for Window<'_, T> {}
// SAFETY: as above; values read through a window were written through it by the same task.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Window<'_, T> {}

impl<'a, T: Copy> Window<'a, T> {
    pub(super) fn of(numbers: &'a mut [T]) -> Self {
        Self { start: numbers.as_mut_ptr(), len: numbers.len(), memory: PhantomData }
    }

    /// Memory of which every element is written through windows, and none is read or [owned](Self::own) before that.
    pub(super) fn of_unwritten(numbers: &'a mut [MaybeUninit<T>]) -> Self {
        Self { start: numbers.as_mut_ptr().cast(), len: numbers.len(), memory: PhantomData }
    }

    /// The same memory from `offset` on.
    pub(super) fn from(&self, offset: usize) -> Self {
        assert!(offset <= self.len);
        // SAFETY: the assertion keeps the new start inside the allocation, or one past its end.
        #[allow(unsafe_code)]
        Self { start: unsafe { self.start.add(offset) }, len: self.len - offset, memory: PhantomData }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn as_ptr(&self) -> *mut T {
        self.start
    }

    /// `count` elements from `offset` on, for the task that owns them. They must have been written.
    #[allow(clippy::mut_from_ref)] // The contract of this module excludes two owners of an element.
    pub(super) fn own(&self, offset: usize, count: usize) -> &'a mut [T] {
        assert!(offset + count <= self.len);
        // SAFETY: inside the window by the assertion, and numbers, as the caller promises; no other task touches these elements
        // while this one has them.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts_mut(self.start.add(offset), count)
        }
    }

    /// Copies `values` to the elements from `offset` on.
    pub(super) fn copy_from(&self, offset: usize, values: &[T]) {
        assert!(offset + values.len() <= self.len);
        // SAFETY: inside the window by the assertion; the caller's task owns these elements, so `values` lies elsewhere.
        #[allow(unsafe_code)]
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr(), self.start.add(offset), values.len());
        }
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
