//! The system calls a caged worker may make; everything else fails, and what only an attacker would try kills it.
//!
//! Two programs lie on top of each other and the kernel takes the stricter answer: the first kills the process for
//! calls that no model runtime has a reason for (network, programs, other processes, mounts, kernel interfaces), the
//! second answers every call that is not listed with `EPERM`. Memory may never become executable, and bytes go
//! through descriptor 0 alone.

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Calls that kill the process.
const DEADLY: &[c_long] = &[
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_kcmp,
    libc::SYS_acct,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_memfd_create,
];

/// Calls that are free of conditions.
const FREE: &[c_long] = &[
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getrandom,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_membarrier,
    libc::SYS_rseq,
];

/// One argument of a call: its place, the bits that are looked at, and what they must be.
type Bound = (u8, u64, u64);

const SOCKET: Bound = (0, u32::MAX as u64, 0);
const NOT_EXECUTABLE: Bound = (2, libc::PROT_EXEC as u64, 0);
const OF_NO_FILE: Bound = (3, libc::MAP_ANONYMOUS as u64, libc::MAP_ANONYMOUS as u64);

/// Calls that pass if every bound holds.
const BOUND: &[(c_long, &[Bound])] = &[
    (libc::SYS_read, &[SOCKET]),
    (libc::SYS_write, &[SOCKET]),
    (libc::SYS_mmap, &[NOT_EXECUTABLE, OF_NO_FILE]),
    (libc::SYS_mprotect, &[NOT_EXECUTABLE]),
];

/// The two programs for the process `pid`, in the order in which they must be installed.
pub(super) fn programs(pid: u32) -> Result<[BpfProgram; 2], String> {
    let arch = std::env::consts::ARCH.try_into().map_err(|e| format!("{e}"))?;
    let deadly = DEADLY.iter().map(|call| (*call, Vec::new())).collect();
    let deadly =
        SeccompFilter::new(deadly, SeccompAction::Allow, SeccompAction::KillProcess, arch).map_err(text)?;
    let mut allowed: Vec<(c_long, Vec<SeccompRule>)> = FREE.iter().map(|call| (*call, Vec::new())).collect();
    for (call, bounds) in BOUND {
        allowed.push((*call, vec![rule(bounds)?]));
    }
    // How a process aborts itself.
    allowed.push((libc::SYS_tgkill, vec![rule(&[(0, u64::from(u32::MAX), u64::from(pid))])?]));
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let allowed = allowed.into_iter().collect();
    let allowed = SeccompFilter::new(allowed, refuse, SeccompAction::Allow, arch).map_err(text)?;
    Ok([deadly.try_into().map_err(text)?, allowed.try_into().map_err(text)?])
}

fn rule(bounds: &[Bound]) -> Result<SeccompRule, String> {
    let condition = |(argument, mask, value): &Bound| {
        let op = SeccompCmpOp::MaskedEq(*mask);
        SeccompCondition::new(*argument, SeccompCmpArgLen::Qword, op, *value)
    };
    let conditions = bounds.iter().map(condition).collect::<Result<_, _>>().map_err(text)?;
    SeccompRule::new(conditions).map_err(text)
}

#[allow(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
fn text(error: seccompiler::BackendError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: u32 = 4_242;
    #[cfg(target_arch = "x86_64")]
    const ARCH: u32 = 0xC000_003E;
    #[cfg(target_arch = "aarch64")]
    const ARCH: u32 = 0xC000_00B7;

    const ALLOW: u32 = 0x7fff_0000;
    const KILL: u32 = 0x8000_0000;
    const EPERM: u32 = 0x0005_0001;

    /// What the kernel's interpreter of classic BPF would answer; only what seccomp filters use.
    fn verdict(program: &BpfProgram, arch: u32, call: c_long, args: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend_from_slice(&(call as u32).to_le_bytes());
        data.extend_from_slice(&arch.to_le_bytes());
        data.extend_from_slice(&0_u64.to_le_bytes());
        args.iter().for_each(|a| data.extend_from_slice(&a.to_le_bytes()));
        let (mut at, mut acc) = (0_usize, 0_u32);
        loop {
            let op = &program[at];
            at += 1;
            let jump = |yes: bool| usize::from(if yes { op.jt } else { op.jf });
            match op.code {
                0x20 => acc = u32::from_le_bytes(data[op.k as usize..][..4].try_into().unwrap()),
                0x54 => acc &= op.k,
                0x05 => at += op.k as usize,
                0x15 => at += jump(acc == op.k),
                0x25 => at += jump(acc > op.k),
                0x35 => at += jump(acc >= op.k),
                0x06 => return op.k,
                other => panic!("instruction {other:#x} at {}", at - 1),
            }
        }
    }

    /// The stricter of the two programs, as the kernel takes it.
    fn both(arch: u32, call: c_long, args: [u64; 6]) -> u32 {
        let [deadly, allowed] = programs(PID).unwrap();
        let (a, b) = (verdict(&deadly, arch, call, args), verdict(&allowed, arch, call, args));
        // Kill is the least number as a signed one, then errors, then allow.
        if (a as i32) < (b as i32) { a } else { b }
    }

    #[test]
    fn only_what_is_listed_passes() {
        let listed: Vec<c_long> = FREE.iter().copied().collect();
        for call in 0..600 {
            let got = both(ARCH, call, [9; 6]);
            let want = match call {
                c if listed.contains(&c) => ALLOW,
                c if DEADLY.contains(&c) => KILL,
                // All arguments are 9: another descriptor, a file; but no execute bit.
                libc::SYS_mprotect => ALLOW,
                _ => EPERM,
            };
            assert_eq!(got, want, "call {call}: {got:#x}");
        }
    }

    #[test]
    fn arguments_are_looked_at() {
        let check = |call, args: [u64; 6], want| assert_eq!(both(ARCH, call, args), want, "{call} {args:?}");
        check(libc::SYS_read, [0, 1, 2, 0, 0, 0], ALLOW);
        check(libc::SYS_read, [3, 1, 2, 0, 0, 0], EPERM);
        check(libc::SYS_write, [0, 1, 2, 0, 0, 0], ALLOW);
        for fd in [1, 2, 3, u64::from(u32::MAX)] {
            check(libc::SYS_write, [fd, 1, 2, 0, 0, 0], EPERM);
        }
        let (rw, exec) = ((libc::PROT_READ | libc::PROT_WRITE) as u64, libc::PROT_EXEC as u64);
        check(libc::SYS_mmap, [0, 4096, rw, 0x22, 0, 0], ALLOW);
        check(libc::SYS_mmap, [0, 4096, rw | exec, 0x22, 0, 0], EPERM);
        check(libc::SYS_mmap, [0, 4096, rw, 2, 0, 0], EPERM);
        check(libc::SYS_mprotect, [4096, 4096, exec, 0, 0, 0], EPERM);
        check(libc::SYS_tgkill, [u64::from(PID), 1, 6, 0, 0, 0], ALLOW);
        check(libc::SYS_tgkill, [1, 1, 9, 0, 0, 0], EPERM);
    }

    #[test]
    fn named_calls_of_an_attacker_are_deadly_or_refused() {
        for call in [libc::SYS_openat, libc::SYS_openat2, libc::SYS_clone, libc::SYS_clone3, libc::SYS_prctl]
        {
            assert_eq!(both(ARCH, call, [0; 6]), EPERM, "{call}");
        }
        for call in [libc::SYS_seccomp, libc::SYS_setuid, libc::SYS_prlimit64, libc::SYS_sendto] {
            assert_eq!(both(ARCH, call, [0; 6]), EPERM, "{call}");
        }
        for call in [libc::SYS_socket, libc::SYS_connect, libc::SYS_execve, libc::SYS_ptrace, libc::SYS_mount]
        {
            assert_eq!(both(ARCH, call, [0; 6]), KILL, "{call}");
        }
        #[cfg(target_arch = "x86_64")]
        for call in [libc::SYS_open, libc::SYS_creat, libc::SYS_fork, libc::SYS_vfork] {
            assert_eq!(both(ARCH, call, [0; 6]), EPERM, "{call}");
        }
        // The 32-bit numbers of the same machine, and x32's, mean other calls.
        assert_ne!(both(0x4000_0003, libc::SYS_read, [0; 6]), ALLOW);
        assert_ne!(both(ARCH, libc::SYS_read | 0x4000_0000, [0; 6]), ALLOW);
    }
}
