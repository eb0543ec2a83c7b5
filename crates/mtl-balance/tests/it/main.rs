//! Conformance of every registered balancer, laws of their updates, reference values of other libraries and of another solver.

mod conformance;
mod events;
mod laws;
mod own_method;
mod reference;
mod solvers;
mod tables;
