//! The C side: a VFS and its files, each in front of one of the operating system's. Decides nothing; `disk` does.

use crate::disk::{self, Admitted, Disk, Op};
use rusqlite::ffi;
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Registers a VFS over a disk. Answers its name.
pub(crate) fn register(disk: Arc<Mutex<Disk>>) -> String {
    static REGISTERED: AtomicU32 = AtomicU32::new(0);
    let name = format!("faults-{}", REGISTERED.fetch_add(1, Ordering::Relaxed));
    let c_name = CString::new(name.clone()).expect("the name has no zero in it");
    // SAFETY: a null name asks for the default VFS, which SQLite keeps for the life of the process.
    let real = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
    assert!(!real.is_null(), "SQLite has a default VFS");
    let context = Box::new(Context { real, disk });
    // SAFETY: `real` is valid, and a VFS is plain data: numbers, pointers to functions and names. Functions that are not replaced
    // get this copy as their first argument; the unix VFS does not look at it there.
    let mut vfs = Box::new(unsafe { ptr::read(real) });
    vfs.szOsFile += c_int::try_from(size_of::<File>()).expect("a few words");
    vfs.pNext = ptr::null_mut();
    vfs.zName = c_name.into_raw();
    vfs.pAppData = Box::into_raw(context).cast();
    vfs.xOpen = Some(open);
    vfs.xDelete = Some(delete);
    // SAFETY: the VFS, its name and its context are leaked, so they outlive every use.
    let registered = unsafe { ffi::sqlite3_vfs_register(Box::into_raw(vfs), 0) };
    assert_eq!(registered, ffi::SQLITE_OK, "the VFS registers");
    name
}

/// What a VFS knows.
struct Context {
    real: *mut ffi::sqlite3_vfs,
    disk: Arc<Mutex<Disk>>,
}

/// An open file as SQLite sees it. SQLite allots `szOsFile` bytes: these, and behind them those of the real file.
#[repr(C)]
struct File {
    methods: *const ffi::sqlite3_io_methods,
    /// Null once closed, or when opening failed.
    known: *mut Known,
}

/// What is known of an open file.
struct Known {
    /// Its path; `None` for temporary files, which nobody misses after a power cut.
    path: Option<PathBuf>,
    /// How often the power had been cut when it was opened.
    cuts: u64,
    disk: Arc<Mutex<Disk>>,
}

impl Known {
    /// The disk, if the power has stayed on since the file was opened.
    fn live(&self) -> Option<MutexGuard<'_, Disk>> {
        Some(disk::lock(&self.disk)).filter(|disk| disk.cuts == self.cuts)
    }

    fn done(&self, disk: &mut Disk, op: Op) {
        if let Some(path) = &self.path {
            disk.done(path, op);
        }
    }
}

/// # Safety
/// `file` was opened by `open` and not closed yet.
unsafe fn known<'f>(file: *mut ffi::sqlite3_file) -> &'f Known {
    // SAFETY: `open` has put a `File` with a valid `known` there, and only `close` takes it away.
    unsafe { &*(*file.cast::<File>()).known }
}

/// The real file behind ours.
///
/// # Safety
/// `file` points to `szOsFile` bytes.
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: those bytes begin with a `File`, a whole number of words, so what lies behind it is aligned too.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// Calls a method of the real file.
macro_rules! forward {
    ($file:expr, $method:ident $(, $arg:expr)*) => {{
        // SAFETY: the real file was opened with ours, and the unix VFS has every method of version 2.
        unsafe {
            let real = real($file);
            let method = (*(*real).pMethods).$method.expect("the unix VFS has every method");
            method(real $(, $arg)*)
        }
    }};
}

/// The path that a C string names.
///
/// # Safety
/// `name` is null or a valid C string.
unsafe fn path_of(name: *const c_char) -> Option<PathBuf> {
    // SAFETY: promised by the caller, and not null.
    (!name.is_null()).then(|| Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes())).to_owned())
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: `register` put the context there and leaked it.
    let context = unsafe { &*(*vfs).pAppData.cast::<Context>() };
    // SAFETY: SQLite opens with null or a C string.
    let path = unsafe { path_of(name) }.filter(|_| flags & ffi::SQLITE_OPEN_DELETEONCLOSE == 0);
    // SAFETY: SQLite allots `szOsFile` bytes, and expects to find no methods when opening fails.
    unsafe { file.cast::<File>().write(File { methods: ptr::null(), known: ptr::null_mut() }) };
    let mut disk = disk::lock(&context.disk);
    if disk.call() {
        return ffi::SQLITE_CANTOPEN;
    }
    let existed = path.as_ref().is_some_and(|path| path.exists());
    path.iter().for_each(|path| disk.meet(path));
    // SAFETY: the arguments are SQLite's own, with the real VFS and the room behind our file.
    let opened = unsafe {
        let open = (*context.real).xOpen.expect("every VFS can open");
        open(context.real, name, real(file), flags, out_flags)
    };
    if opened != ffi::SQLITE_OK {
        return opened;
    }
    if let Some(path) = path.as_ref().filter(|path| !existed && path.exists()) {
        let syncs_folder = flags & (ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL) != 0;
        disk.done(path, Op::Create { syncs_folder });
    }
    let known = Known { path, cuts: disk.cuts, disk: context.disk.clone() };
    // SAFETY: as above.
    unsafe { file.cast::<File>().write(File { methods: &METHODS, known: Box::into_raw(Box::new(known)) }) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: as in `open`.
    let context = unsafe { &*(*vfs).pAppData.cast::<Context>() };
    // SAFETY: SQLite deletes by name.
    let path = unsafe { path_of(name) }.expect("what is deleted has a name");
    let mut disk = disk::lock(&context.disk);
    if disk.call() {
        return ffi::SQLITE_IOERR_DELETE;
    }
    disk.meet(&path);
    // SAFETY: the arguments are SQLite's own, with the real VFS.
    let deleted = unsafe {
        let delete = (*context.real).xDelete.expect("every VFS can delete");
        delete(context.real, name, sync_folder)
    };
    if deleted == ffi::SQLITE_OK {
        disk.done(&path, Op::Delete);
        if sync_folder != 0 {
            disk.synced(&path);
        }
    }
    deleted
}

/// Version 2: with shared memory, without mapping the file itself, so that every write passes here.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let closed = forward!(file, xClose);
    // SAFETY: `open` made the box, and SQLite closes once.
    drop(unsafe { Box::from_raw((*file.cast::<File>()).known) });
    closed
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, bytes: c_int, offset: i64) -> c_int {
    // SAFETY: SQLite reads open files.
    match unsafe { known(file) }.live().is_some() {
        true => forward!(file, xRead, to, bytes, offset),
        false => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, bytes: c_int, offset: i64) -> c_int {
    // SAFETY: SQLite writes open files.
    let known = unsafe { known(file) };
    let Some(mut disk) = known.live() else { return ffi::SQLITE_IOERR_WRITE };
    let all = usize::try_from(bytes).expect("SQLite writes no negative number of bytes");
    let (admitted, after) = match disk.admit(all) {
        Admitted::All => (all, ffi::SQLITE_OK),
        Admitted::Fails(some) => (some, ffi::SQLITE_IOERR_WRITE),
        Admitted::Full(some) => (some, ffi::SQLITE_FULL),
    };
    let count = c_int::try_from(admitted).expect("no more than was asked for");
    let written = if count == 0 { ffi::SQLITE_OK } else { forward!(file, xWrite, from, count, offset) };
    if written != ffi::SQLITE_OK {
        return written;
    }
    // SAFETY: SQLite hands over that many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), admitted) }.to_vec();
    known.done(&mut disk, Op::Write { offset: offset.unsigned_abs(), bytes });
    after
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: SQLite truncates open files.
    let known = unsafe { known(file) };
    let Some(mut disk) = known.live() else { return ffi::SQLITE_IOERR_TRUNCATE };
    if disk.call() {
        return ffi::SQLITE_IOERR_TRUNCATE;
    }
    let truncated = forward!(file, xTruncate, length);
    if truncated == ffi::SQLITE_OK {
        known.done(&mut disk, Op::Truncate(length.unsigned_abs()));
    }
    truncated
}

/// The real file is not synced: what the disk holds is known without, and tests are the faster for it.
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: SQLite syncs open files.
    let known = unsafe { known(file) };
    let Some(mut disk) = known.live() else { return ffi::SQLITE_IOERR_FSYNC };
    let fails = disk.call();
    match (&known.path, fails) {
        (Some(path), false) => disk.synced(path),
        (Some(path), true) => disk.sync_failed(path),
        (None, _) => {}
    }
    if fails { ffi::SQLITE_IOERR_FSYNC } else { ffi::SQLITE_OK }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    forward!(file, xFileSize, size)
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite locks open files. A dead one is refused, so that closing it leaves the log alone.
    match unsafe { known(file) }.live().is_some() {
        true => forward!(file, xLock, level),
        false => ffi::SQLITE_IOERR_LOCK,
    }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    forward!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    forward!(file, xCheckReservedLock, out)
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, op: c_int, with: *mut c_void) -> c_int {
    forward!(file, xFileControl, op, with)
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    forward!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    forward!(file, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    forward!(file, xShmMap, page, size, extend, out)
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    forward!(file, xShmLock, offset, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    forward!(file, xShmBarrier);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    forward!(file, xShmUnmap, delete)
}
