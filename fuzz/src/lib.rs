//! What several targets do with the bytes they are given.

#[cfg(feature = "weights")]
pub mod weights;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pefomed_data::formats::{Format, Problems, ReadOptions, visit};
use pefomed_data::image::{View, decode_view};

/// Views that take different ways through the decoders.
const VIEWS: [&str; 5] =
    ["#window=range", "#window=40,400", "#frame=2", "#axis=x&slice=1", "#axis=y&window=lung"];

/// Lets a panic of another crate go its way, as far as our code catches it: the decoders of coded frames
/// and of parquet are known to panic, and are called behind a guard. A panic of this project's own
/// code ends the process, guard or not.
pub fn allow_foreign_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if panic.location().is_some_and(|place| place.file().contains("pefomed-")) {
            eprintln!("{panic}");
            std::process::abort();
        }
    }));
}

/// Decodes as it is, and what is a picture in other views too.
pub fn picture(name: &str, bytes: &[u8]) {
    let Ok(image) = decode_view(name, bytes, &View::default()) else { return };
    assert_eq!(image.rgb.len(), 3 * image.width as usize * image.height as usize);
    assert!(image.width > 0 && image.height > 0);
    for view in VIEWS {
        let view = View::of_name(view).expect("the views are well-formed");
        let _ = decode_view(name, bytes, &view);
    }
}

/// The bytes in a file of that name, in a folder of this process.
pub fn written(name: &str, bytes: &[u8]) -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        folder.expect("a temporary folder can be made")
    });
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("the temporary folder takes files");
    path
}

/// Reads all rows, bad ones left out, and images that lie inside the file.
pub fn rows(format: Format, path: &Path) {
    let mut problems = Problems::lenient();
    let _ = visit(format, path, &ReadOptions::default(), &mut problems, &mut |example| {
        assert!(!example.id.is_empty());
        for image in example.images.iter().filter(|image| image.own_file().is_none()) {
            let _ = image.read();
        }
        Ok(())
    });
}
