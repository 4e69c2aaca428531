/*
 * Makes user-mode Linux 6.1 start on processors whose register state is larger
 * than the 2696 bytes that it knows (AMX, APX): PTRACE_SETREGSET demands the
 * whole state (xstateregs_set in the host's arch/x86/kernel/fpu/regset.c) and
 * fails with EFAULT. What lies behind is unused in the guest, so zeros do.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { GETREGSET = 0x4204, SETREGSET = 0x4205, X86_XSTATE = 0x202 };

static long (*next)(int, pid_t, void *, void *);
static char state[1 << 16]; /* not on the stack, which is small in there */
static size_t size;

__attribute__((constructor)) static void find(void) { next = dlsym(RTLD_NEXT, "ptrace"); }

long ptrace(int request, pid_t pid, void *addr, void *data)
{
	struct iovec *caller = data, whole = { state, sizeof state };

	if (request != SETREGSET || (long)addr != X86_XSTATE)
		return next(request, pid, addr, data);
	if (!size) {
		if (next(GETREGSET, pid, addr, &whole) < 0)
			return -1;
		size = whole.iov_len;
	}
	if (caller->iov_len >= size)
		return next(request, pid, addr, data);
	memset(state + caller->iov_len, 0, size - caller->iov_len);
	memcpy(state, caller->iov_base, caller->iov_len);
	whole.iov_len = size;
	return next(request, pid, addr, &whole);
}
