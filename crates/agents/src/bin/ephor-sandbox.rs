//! The launcher of the sandbox as a program of its own, for the tests of this crate.

fn main() -> std::process::ExitCode {
    ephor_agents::sandbox::exec_main()
}
