//! What things are made of, and how bright each modality shows it.
//!
//! The numbers are the order that radiology teaches, not measured values: on CT, brightness
//! follows density (air, fat, water, soft tissue, fresh blood, contrast medium, bone, metal); on
//! T2-weighted MR it follows free water and fat, while air, cortical bone, metal, flowing and
//! clotting blood are dark; a radiograph sums attenuation along the ray.

/// What a piece of a scene is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Material {
    /// Outside the body, in the bowel, in a pneumothorax.
    Air,
    /// Aerated lung.
    Lung,
    /// Fat under the skin and between organs.
    Fat,
    /// Muscle and other plain soft tissue.
    Muscle,
    /// Parenchyma: liver, spleen, kidney.
    Organ,
    /// Grey matter.
    Brain,
    /// White matter.
    WhiteMatter,
    /// Tissue swollen with water: infarcts, the surroundings of a tumour.
    Oedema,
    /// Water-like fluid: cerebrospinal fluid, bile, effusions, cysts.
    Fluid,
    /// Freshly clotted blood.
    Blood,
    /// Tissue or vessels that took up contrast medium.
    Contrast,
    /// Cortical bone.
    Bone,
    /// Stones and other calcium outside bones.
    Calcification,
    /// Tubing.
    Plastic,
    /// Implants.
    Metal,
}

impl Material {
    /// All materials, in the order of their index.
    pub const ALL: [Self; 15] = [
        Self::Air,
        Self::Lung,
        Self::Fat,
        Self::Muscle,
        Self::Organ,
        Self::Brain,
        Self::WhiteMatter,
        Self::Oedema,
        Self::Fluid,
        Self::Blood,
        Self::Contrast,
        Self::Bone,
        Self::Calcification,
        Self::Plastic,
        Self::Metal,
    ];

    /// Number of materials.
    pub const COUNT: usize = Self::ALL.len();

    /// Place in [`Material::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Brightness on CT with a soft-tissue window, 0 black to 1 white.
    pub(super) fn on_ct(self) -> f32 {
        match self {
            Self::Air => 0.01,
            Self::Lung => 0.11,
            Self::Fat => 0.13,
            Self::Oedema => 0.38,
            Self::Fluid => 0.36,
            Self::WhiteMatter => 0.56,
            Self::Muscle => 0.51,
            Self::Brain => 0.63,
            Self::Organ => 0.62,
            Self::Blood => 0.84,
            Self::Contrast => 0.80,
            Self::Plastic => 0.90,
            Self::Bone => 0.95,
            Self::Calcification | Self::Metal => 1.0,
        }
    }

    /// Brightness on T2-weighted MR, 0 black to 1 white.
    pub(super) fn on_mr(self) -> f32 {
        match self {
            Self::Air => 0.02,
            Self::Lung => 0.06,
            Self::Fat => 0.72,
            Self::Muscle => 0.25,
            Self::Organ => 0.38,
            Self::Brain => 0.52,
            Self::WhiteMatter => 0.40,
            Self::Oedema => 0.78,
            Self::Fluid => 0.95,
            Self::Blood => 0.18,
            Self::Contrast => 0.46,
            Self::Bone => 0.09,
            Self::Calcification => 0.04,
            Self::Plastic => 0.05,
            Self::Metal => 0.0,
        }
    }

    /// Attenuation of X-rays by a given thickness, as a multiple of muscle's.
    pub(super) fn attenuation(self) -> f32 {
        match self {
            Self::Air => 0.0,
            Self::Lung => 0.2,
            Self::Fat => 0.85,
            Self::Muscle | Self::WhiteMatter | Self::Oedema | Self::Fluid => 1.0,
            Self::Organ | Self::Brain | Self::Blood => 1.05,
            Self::Contrast => 2.0,
            Self::Plastic => 2.5,
            Self::Bone => 3.0,
            Self::Calcification => 3.5,
            Self::Metal => 9.0,
        }
    }

    /// How much a material's brightness wanders from place to place.
    pub(super) fn texture(self) -> f32 {
        match self {
            Self::Lung | Self::Brain | Self::WhiteMatter => 0.035,
            Self::Organ | Self::Muscle | Self::Oedema | Self::Blood | Self::Fat => 0.03,
            Self::Bone | Self::Contrast => 0.04,
            _ => 0.0,
        }
    }
}
