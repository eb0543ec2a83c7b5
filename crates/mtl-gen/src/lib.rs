//! VAE and GAN generators that use the shared trunk.
