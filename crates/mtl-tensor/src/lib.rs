//! Differentiable ops with right gradients and fast CPU kernels, layers, optimizers, gradient checking.
