//! The program by itself: what it weighs, how soon it is there, and what it takes when nothing is asked of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use buildit_benches::Bench;
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// How long it is left alone, and watched.
const SETTLE: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(30);

const MIB: f64 = 1024.0 * 1024.0;

/// Killed when it is left.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Where `cargo build --profile dist --example server` puts what is handed out, or the bench's profile what it builds.
fn path() -> Option<PathBuf> {
    let bench = std::env::current_exe().ok()?;
    let built = bench.parent()?.parent()?;
    let mut paths = [built.parent()?.join("dist/examples/server"), built.join("examples/server")].into_iter();
    paths.find(|path| path.exists())
}

/// Measures it where it is there.
pub(crate) fn measure(bench: &mut Bench) {
    let what = "the program";
    if bench.is_test() {
        return bench.leave_out(what, "it is only tried");
    }
    let Some(path) = path() else {
        return bench.leave_out(what, "it is not built: cargo build --profile dist -p buildit-server --features postgres,docker,oidc --example server");
    };
    let folder = tempfile::tempdir().expect("a folder");
    let size = std::fs::metadata(&path).expect("it is there").len();
    #[expect(clippy::cast_precision_loss, reason = "it is small")]
    bench.at_most("the binary", size as f64 / MIB, 40.0, "MiB");

    let start = || {
        let mut command = Command::new(&path);
        command.args(["--listen", "127.0.0.1:0", "--data"]).arg(folder.path()).env("BUILDIT_LOG", "error");
        let begun = Instant::now();
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its words")).lines();
        let program = Program(child);
        let address = lines
            .find_map(|line| line.ok()?.strip_prefix("listening on http://").map(str::to_owned))
            .expect("it says where it listens");
        let mut stream = TcpStream::connect(&address).expect("it listens");
        let request = format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it is asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        std::thread::spawn(move || lines.for_each(drop));
        (begun.elapsed(), program)
    };
    let (first, program) = start();
    drop(program);
    let again: Vec<Duration> = (0..5).map(|_| start().0).collect();
    bench.at_most("ready in an empty folder", first.as_secs_f64() * 1000.0, 300.0, "ms");
    bench.at_most("ready again, median", buildit_benches::median(&again).as_secs_f64() * 1000.0, 300.0, "ms");

    let (_, program) = start();
    std::thread::sleep(SETTLE);
    let before = taken(program.0.id());
    std::thread::sleep(IDLE);
    let used = taken(program.0.id()).saturating_sub(before);
    bench.at_most("memory when idle", resident(program.0.id()), 64.0, "MiB");
    bench.at_most("processor when idle", used.as_secs_f64() / IDLE.as_secs_f64() * 100.0, 0.5, "%");
}

/// The time that it took, those of its threads that have ended too: to the nanosecond, for the ticks of `/proc/PID/stat` are
/// hundredths of a second, of which it takes few.
fn taken(process: u32) -> Duration {
    let process = Pid::from_raw(process.try_into().expect("a process"));
    let taken = clock_getcpuclockid(process).and_then(ClockId::now).expect("it lives");
    Duration::from(taken)
}

/// What of it is in memory, in MiB.
fn resident(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}
