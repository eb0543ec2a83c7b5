//! Task losses and the gradient Gram matrix in, one weight a task out.
