//! A task's network, its loss and its scores.
