//! The device a run computes on, chosen by a word at run time.

use std::fmt;
use std::str::FromStr;

use pefomed_data::names;
use pefomed_model::parameters::{Placement, read};
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// A kind of device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceKind {
    /// The CPU, with all its cores: in every build.
    #[default]
    Cpu,
    /// A GPU through the graphics interface that the system has (Vulkan, Metal, Direct3D 12), in its shading
    /// language that all of them take: feature `wgpu`.
    Wgpu,
    /// A GPU through Vulkan (NVIDIA, AMD, Intel), in its own shading language: feature `vulkan`.
    Vulkan,
    /// An NVIDIA GPU through CUDA: feature `cuda`.
    Cuda,
}

impl DeviceKind {
    /// All kinds, in the order messages list them.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Wgpu, Self::Vulkan, Self::Cuda];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
            Self::Vulkan => "vulkan",
            Self::Cuda => "cuda",
        }
    }

    /// Where tensors are put for it, in single precision. A device other than the CPU shows first that it can
    /// multiply: there are drivers that make zeros of the framework's products and report no error.
    ///
    /// # Errors
    /// [`TrainError::DeviceNotBuilt`] when this build lacks the feature, [`TrainError::DeviceMissing`],
    /// [`TrainError::DeviceWrong`].
    pub fn placement(self) -> Result<Placement, TrainError> {
        let place = self.place()?;
        if self != Self::Cpu && !multiplies(&place) {
            return Err(TrainError::DeviceWrong { device: self.name() });
        }
        Ok(place)
    }

    fn place(self) -> Result<Placement, TrainError> {
        #[cfg(feature = "wgpu")]
        if let Some(graphics) = graphics::of(self) {
            return graphics.device(self.name()).map(Placement::float32);
        }
        match self {
            Self::Cpu => Ok(Placement::cpu()),
            #[cfg(feature = "cuda")]
            Self::Cuda => Ok(Placement::float32(burn::tensor::Device::cuda(0))),
            absent => Err(TrainError::DeviceNotBuilt { device: absent.name() }),
        }
    }

    /// Its kind, and which of the kind it is where a [placement](Self::placement) has found that out.
    pub fn description(self) -> String {
        #[cfg(feature = "wgpu")]
        if let Some(name) = graphics::of(self).and_then(graphics::Graphics::name) {
            return format!("{self}: {name}");
        }
        self.name().to_owned()
    }
}

/// Devices of the graphics interfaces, each looked for once.
#[cfg(feature = "wgpu")]
mod graphics {
    use std::sync::OnceLock;

    use burn::tensor::Device;
    use burn::tensor::wgpu::WgpuBackend;

    use super::DeviceKind;
    use crate::TrainError;

    /// The first device of an interface.
    pub(super) struct Graphics {
        interface: WgpuBackend,
        /// The device and what its driver calls it, or why there is none.
        found: OnceLock<Result<(Device, String), String>>,
    }

    /// That of the first interface that has one.
    static AUTO: Graphics = Graphics::of(WgpuBackend::Auto);
    #[cfg(feature = "vulkan")]
    static VULKAN: Graphics = Graphics::of(WgpuBackend::Vulkan);

    impl Graphics {
        const fn of(interface: WgpuBackend) -> Self {
            Self { interface, found: OnceLock::new() }
        }

        pub(super) fn device(&self, kind: &'static str) -> Result<Device, TrainError> {
            let found = self.found.get_or_init(|| {
                let options = Device::wgpu_options().graphics_api(self.interface);
                let (device, setup) = options.init_with_setup().map_err(|it| it.to_string())?;
                let adapter = setup.adapter.get_info();
                Ok((device, format!("{} ({:?})", adapter.name, adapter.backend)))
            });
            let missing = |problem: &String| {
                let problem = problem.clone();
                TrainError::DeviceMissing { device: kind, problem }
            };
            found.as_ref().map(|(device, _)| device.clone()).map_err(missing)
        }

        /// What the driver calls the device, once it was found.
        pub(super) fn name(&self) -> Option<&str> {
            self.found.get()?.as_ref().ok().map(|(_, name)| &name[..])
        }
    }

    /// The interface of a kind of device that has one in this build.
    pub(super) fn of(kind: DeviceKind) -> Option<&'static Graphics> {
        match kind {
            DeviceKind::Wgpu => Some(&AUTO),
            #[cfg(feature = "vulkan")]
            DeviceKind::Vulkan => Some(&VULKAN),
            _ => None,
        }
    }
}

/// Whether a product of small whole numbers, which every precision holds, is that of the CPU.
fn multiplies(place: &Placement) -> bool {
    const ROWS: usize = 33;
    const INNER: usize = 40;
    const COLUMNS: usize = 19;
    let numbers = |count: usize, step: usize| -> Vec<f32> {
        (0..count).map(|index| (index * step % 7) as f32 - 3.0).collect()
    };
    let (a, b) = (numbers(ROWS * INNER, 5), numbers(INNER * COLUMNS, 3));
    let at = |index: usize| -> f32 {
        let (row, column) = (index / COLUMNS, index % COLUMNS);
        (0..INNER).map(|inner| a[row * INNER + inner] * b[inner * COLUMNS + column]).sum()
    };
    let wanted: Vec<f32> = (0..ROWS * COLUMNS).map(at).collect();
    let left = place.tensor(a.clone(), [ROWS, INNER]);
    let product = left.matmul(place.tensor(b.clone(), [INNER, COLUMNS]));
    read(product) == wanted
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DeviceKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.map(Self::name);
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let suggestion = names::suggestion(name, known);
            format!("no device is called `{name}`: there are {}{suggestion}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back_and_slips_are_told() {
        for kind in DeviceKind::ALL {
            assert_eq!(kind.name().parse::<DeviceKind>(), Ok(kind));
        }
        let message = "vulcan".parse::<DeviceKind>().unwrap_err();
        assert_eq!(
            message,
            "no device is called `vulcan`: there are cpu, wgpu, vulkan, cuda; did you mean `vulkan`?"
        );
    }

    #[test]
    fn the_processor_multiplies() {
        assert!(multiplies(&Placement::cpu()) && multiplies(&Placement::cpu_f64()));
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_that_is_not_built_in_says_how_to_build_it() {
        let message = DeviceKind::Cuda.placement().err().map(|error| error.to_string());
        assert!(message.is_some_and(|text| text.contains("--features cuda")));
    }
}
