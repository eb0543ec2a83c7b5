//! Conformance of every registered balancer, laws of their updates, reference values of other libraries and of another solver.

mod conformance;
mod laws;
mod reference;
mod solvers;
mod tables;
