//! The cases: data, preceding run, settings.

use crate::settings::*;

/// Images of a case.
#[derive(Clone, Copy, Debug)]
pub enum Images {
    /// The built-in scenes.
    Scenes,
    /// A folder of two classes with masks.
    Folder,
    /// A manifest with classes, yes/no labels and masks, a third of each missing.
    Manifest,
    /// Two folders with the same classes.
    TwoFolders,
    /// Photographs of coffee leaves with masks, grades and yes/no labels.
    Leaves,
}

/// One run of the program, optionally started from another run.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Of the test and of the fixture.
    pub name: &'static str,
    /// Data.
    pub images: Images,
    /// Settings of the run of its initial weights, if any.
    pub before: Option<&'static [&'static [&'static str]]>,
    /// Preset. Default: the program's choice.
    pub preset: Option<&'static str>,
    /// Groups of settings; later ones win.
    pub settings: &'static [&'static [&'static str]],
}

macro_rules! cases {
    ($($name:ident: $images:ident, $preset:expr, $before:expr, $settings:expr;)*) => {
        /// All cases.
        pub const CASES: &[Case] = &[$(Case {
            name: stringify!($name),
            images: Images::$images,
            before: $before,
            preset: $preset,
            settings: &$settings,
        },)*];

        $(#[test]
        fn $name() {
            super::check(CASES.iter().find(|case| case.name == stringify!($name)).expect("listed above"));
        })*
    };
}

cases! {
    // The presets' own networks.
    preset_small: Scenes, Some("small"), None, [SHORT, STEPS];
    preset_standard: Folder, Some("standard"), None, [SHORT, STEPS];
    preset_tutorial: Folder, Some("tutorial"), None, [SHORT, STEPS];
    // Stages, one by one and together.
    joint: Scenes, None, None, [TINY, STEPS, &[JOINT]];
    joint_without_reconstruction: Scenes, None, None, [TINY, STEPS, &[JOINT, NO_RECONSTRUCTION]];
    joint_autoencoder: Folder, None, None, [TINY, STEPS, &[JOINT, AUTOENCODER]];
    joint_vae: Folder, None, None, [TINY, STEPS, &[JOINT_VAE]];
    vae_alone: Scenes, None, None, [TINY, STEPS, &[VAE]];
    gan_frozen: Scenes, None, None, [TINY, STEPS, &[JOINT_GAN]];
    gan_scratch: Scenes, None, None, [TINY, STEPS, &[JOINT_GAN, GAN_SCRATCH]];
    gan_finetuned: Scenes, None, None, [TINY, STEPS, &[JOINT_GAN, GAN_FINETUNED]];
    gan_hybrid: Scenes, None, None, [TINY, STEPS, &[JOINT_GAN, GAN_HYBRID]];
    gan_on_another_run: Folder, None, Some(&[TINY, STEPS, &[JOINT]]), [STEPS, &[GAN]];
    gan_finetuned_on_another_run: Folder, None, Some(&[TINY, STEPS, &[JOINT]]), [STEPS, &[GAN, GAN_FINETUNED]];
    joint_on_another_run: Folder, None, Some(&[TINY, STEPS, &[JOINT]]), [STEPS, &[JOINT]];
    // Networks, updates and data.
    oblong_and_deeper: Scenes, None, None, [TINY, STEPS, &[OBLONG, DEEPER, FULL_STEM, JOINT]];
    one_task: Scenes, None, None, [TINY, STEPS, &[ONE_TASK, NO_RECONSTRUCTION, JOINT]];
    group_norm_sgd: Folder, None, None, [TINY, STEPS, GROUP_NORM, NO_EMA_NO_CLIPPING, &[SGD, JOINT]];
    missing_labels: Manifest, None, None, [TINY, STEPS, &[JOINT_GAN]];
    two_folders: TwoFolders, None, None, [TINY, STEPS, GROUP_NORM];
    two_folders_uniform: TwoFolders, None, None, [TINY, STEPS, GROUP_NORM, &[SAMPLING_UNIFORM, JOINT]];
    two_folders_temperature: TwoFolders, None, None, [TINY, STEPS, GROUP_NORM, &[SAMPLING_TEMPERATURE, JOINT]];
    two_folders_round_robin: TwoFolders, None, None, [TINY, STEPS, GROUP_NORM, &[SAMPLING_ROUND_ROBIN, JOINT]];
    // Balancers: one per kind of signal.
    balancer_fixed: Scenes, None, None, [TINY, STEPS, &[FIXED, JOINT]];
    balancer_losses: Scenes, None, None, [TINY, STEPS, &[LOSSES, JOINT]];
    balancer_losses_after: Scenes, None, None, [TINY, STEPS, &[LOSSES_AFTER_THE_STEP, JOINT]];
    balancer_lookahead: Scenes, None, None, [TINY, STEPS, &[LOOKAHEAD, JOINT]];
    balancer_feature_gram: Scenes, None, None, [TINY, STEPS, &[FEATURE_GRAM, JOINT]];
    balancer_trunk_gram: Scenes, None, None, [TINY, STEPS, &[TRUNK_GRAM, JOINT]];
    balancer_gradients: Scenes, None, None, [TINY, STEPS, &[GRADIENTS, JOINT]];
    balancer_split_batch: Scenes, None, None, [TINY, STEPS, &[SPLIT_BATCH, JOINT]];
    balancer_options: Scenes, None, None, [TINY, STEPS, BALANCER_OPTIONS, &[JOINT]];
    // Photographs, if present.
    photographs: Leaves, None, None, [TINY, STEPS, &[JOINT]];
}
