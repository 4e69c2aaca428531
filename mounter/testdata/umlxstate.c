// User-mode Linux 6.1 hands ptrace(2) an XSAVE area that ends before AMX or APX. Host
// kernels take whole areas only (arch/x86/kernel/fpu/regset.c, xstateregs_set), so
// on processors with them its first process dies with EFAULT. Preloaded into
// linux.uml, this completes the area with what the registers hold already.
#define _GNU_SOURCE
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

long ptrace(enum __ptrace_request request, ...)
{
	va_list ap;
	va_start(ap, request);
	pid_t pid = va_arg(ap, pid_t);
	void *addr = va_arg(ap, void *);
	void *data = va_arg(ap, void *);
	va_end(ap);
	static __thread char area[64 << 10] __attribute__((aligned(64)));
	long word;
	if (request < 4 && request > 0) // the three peeks give their word back by address
		return syscall(SYS_ptrace, request, pid, addr, &word) < 0 ? -1 : word;
	if (request == PTRACE_SETREGSET && addr == (void *)NT_X86_XSTATE) {
		struct iovec *part = data, whole = {area, sizeof area};
		if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, addr, &whole) == 0 && whole.iov_len > part->iov_len) {
			memcpy(area, part->iov_base, part->iov_len);
			return syscall(SYS_ptrace, request, pid, addr, &whole);
		}
	}
	return syscall(SYS_ptrace, request, pid, addr, data);
}
