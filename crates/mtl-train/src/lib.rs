//! Puts one trunk, its heads, generators, a balancer and data together and runs them, exactly resumable.
