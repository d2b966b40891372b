/* Writes down, in order, all that a program does to the files below one folder, so that a power cut can be played at any moment.
 *
 * Loaded with LD_PRELOAD. CRASH_ROOT is the folder (a real path), CRASH_LOG the file that the record goes to; what the
 * program writes to descriptor 1 is recorded as an acknowledgement, in the same order. One lock makes the order total:
 * an operation is recorded after it was done and before its caller goes on. Nothing is synced for real; crash/disk_model.py
 * reads the record and decides what a disk would hold.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum op { OPEN = 1, CREATE, WRITE, TRUNCATE, SYNC, SYNC_RANGE, RENAME, UNLINK, MKDIR, RMDIR, LINK, MAPPED, ACK, SYNC_ALL };

struct header {
    uint32_t magic, op;
    uint64_t inode, offset, length; /* `length` bytes of data or of paths follow */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static dev_t root_device;
static int record_fd = -1;
static pid_t owner;

static uint64_t *inodes; /* a sorted set of those below the root that were opened */
static size_t inode_count, inode_room;

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("CRASH_ROOT"), *record = getenv("CRASH_LOG");
    struct stat status;
    if (!folder || !record || stat(folder, &status) != 0) return;
    root_length = strlen(strncpy(root, folder, sizeof root - 1));
    root_device = status.st_dev;
    owner = getpid();
    record_fd = (int)syscall(SYS_openat, AT_FDCWD, record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int active(void) { return record_fd >= 0 && getpid() == owner; }

static void note(uint32_t op, uint64_t inode, uint64_t offset, const void *data, uint64_t length) {
    struct header header = {0x45524353u, op, inode, offset, length};
    struct iovec parts[2] = {{&header, sizeof header}, {(void *)data, length}};
    int saved = errno;
    if (syscall(SYS_writev, record_fd, parts, length ? 2 : 1) != (long)(sizeof header + length)) {
        static const char why[] = "power_cut: the record could not be written\n";
        syscall(SYS_write, 2, why, sizeof why - 1);
        abort();
    }
    errno = saved;
}

static size_t place(uint64_t inode) {
    size_t low = 0, high = inode_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (inodes[middle] < inode) low = middle + 1; else high = middle;
    }
    return low;
}

static int watched(int fd, struct stat *status) {
    int saved = errno, known = 0;
    if (active() && fstat(fd, status) == 0 && status->st_dev == root_device) {
        size_t at = place(status->st_ino);
        known = at < inode_count && inodes[at] == status->st_ino;
    }
    errno = saved;
    return known;
}

static void watch(uint64_t inode) {
    size_t at = place(inode);
    if (at < inode_count && inodes[at] == inode) return;
    if (inode_count == inode_room) {
        inode_room = inode_room ? 2 * inode_room : 64;
        inodes = realloc(inodes, inode_room * sizeof *inodes);
        if (!inodes) abort();
    }
    memmove(inodes + at + 1, inodes + at, (inode_count - at) * sizeof *inodes);
    inodes[at] = inode;
    inode_count++;
}

/* Takes "." out of a path, and a slash at its end. */
static void tidy(char *path) {
    char *to = path;
    for (const char *from = path; *from;) {
        if (from[0] == '/' && (from[1] == '/' || from[1] == 0)) from++;
        else if (from[0] == '/' && from[1] == '.' && (from[2] == '/' || from[2] == 0)) from += 2;
        else *to++ = *from++;
    }
    *to = 0;
}

/* The whole path below the root, or 0 when it lies elsewhere. Links and ".." are not followed: our folders have none. */
static int below_root(int folder, const char *path, char *whole) {
    int saved = errno;
    char base[PATH_MAX], link[64];
    ssize_t length = 0;
    if (path[0] == '/') {
        snprintf(whole, PATH_MAX, "%s", path);
    } else {
        if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        length = readlink(link, base, sizeof base - 1);
        base[length < 0 ? 0 : length] = 0;
        if (path[0] == 0) snprintf(whole, PATH_MAX, "%s", base);
        else if (snprintf(whole, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) length = -1;
    }
    errno = saved;
    if (length >= 0) tidy(whole);
    return length >= 0 && strncmp(whole, root, root_length) == 0 && (whole[root_length] == '/' || whole[root_length] == 0);
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    struct stat status;
    if (!active() || !below_root(folder, path, whole)) return (int)syscall(SYS_openat, folder, path, flags, mode);
    pthread_mutex_lock(&lock);
    int existed = stat(whole, &status) == 0;
    int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (fd >= 0 && fstat(fd, &status) == 0) {
        watch(status.st_ino);
        note(existed ? OPEN : CREATE, status.st_ino, 0, whole, strlen(whole));
        if (existed && (flags & O_TRUNC)) note(TRUNCATE, status.st_ino, 0, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN_LIKE(name)                                      \
    int name(const char *path, int flags, ...) {             \
        va_list rest;                                        \
        va_start(rest, flags);                               \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                        \
        return opened(AT_FDCWD, path, flags, mode);          \
    }
#define OPENAT_LIKE(name)                                    \
    int name(int folder, const char *path, int flags, ...) { \
        va_list rest;                                        \
        va_start(rest, flags);                               \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                        \
        return opened(folder, path, flags, mode);            \
    }
OPEN_LIKE(open)
OPEN_LIKE(open64)
OPENAT_LIKE(openat)
OPENAT_LIKE(openat64)
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* `at` is -1 for the descriptor's own position. */
static ssize_t written(int fd, const struct iovec *parts, int count, off_t at) {
    struct stat status;
    int acknowledges = active() && fd == 1;
    int known = watched(fd, &status);
    if (known || acknowledges) pthread_mutex_lock(&lock);
    ssize_t done = at < 0 ? syscall(SYS_writev, fd, parts, count) : syscall(SYS_pwritev, fd, parts, count, at, 0L);
    if (done > 0 && (known || acknowledges)) {
        off_t offset = at >= 0 ? at : known ? lseek(fd, 0, SEEK_CUR) - done : 0;
        size_t left = (size_t)done;
        for (int part = 0; part < count && left; part++) {
            size_t length = parts[part].iov_len < left ? parts[part].iov_len : left;
            if (length) note(known ? WRITE : ACK, known ? status.st_ino : 0, (uint64_t)offset, parts[part].iov_base, length);
            offset += (off_t)length;
            left -= length;
        }
    }
    if (known || acknowledges) pthread_mutex_unlock(&lock);
    return done;
}

static ssize_t one(int fd, const void *data, size_t length, off_t at) {
    struct iovec part = {(void *)data, length};
    return written(fd, &part, 1, at);
}
ssize_t write(int fd, const void *data, size_t length) { return one(fd, data, length, -1); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t at) { return one(fd, data, length, at); }
ssize_t pwrite64(int fd, const void *data, size_t length, off_t at) { return one(fd, data, length, at); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return written(fd, parts, count, -1); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return written(fd, parts, count, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) { return written(fd, parts, count, at); }
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t at, int flags) {
    (void)flags;
    return written(fd, parts, count, at);
}
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off_t at, int flags) {
    (void)flags;
    return written(fd, parts, count, at);
}

static int resized(int fd, off_t length) {
    struct stat status;
    if (!watched(fd, &status)) return (int)syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_ftruncate, fd, length);
    if (result == 0) note(TRUNCATE, status.st_ino, (uint64_t)length, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int ftruncate(int fd, off_t length) { return resized(fd, length); }
int ftruncate64(int fd, off_t length) { return resized(fd, length); }

static int allocated(int fd, int mode, off_t at, off_t length) {
    struct stat before, after;
    if (!watched(fd, &before)) return (int)syscall(SYS_fallocate, fd, mode, at, length);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_fallocate, fd, mode, at, length);
    if (result == 0 && (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))) {
        static const char zeros[4096];
        off_t end = at + length < before.st_size ? at + length : before.st_size;
        for (off_t offset = at; offset < end; offset += (off_t)sizeof zeros) {
            off_t left = end - offset;
            note(WRITE, before.st_ino, (uint64_t)offset, zeros, left < (off_t)sizeof zeros ? (uint64_t)left : sizeof zeros);
        }
    }
    if (result == 0 && fstat(fd, &after) == 0 && after.st_size != before.st_size)
        note(TRUNCATE, before.st_ino, (uint64_t)after.st_size, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int fallocate(int fd, int mode, off_t at, off_t length) { return allocated(fd, mode, at, length); }
int fallocate64(int fd, int mode, off_t at, off_t length) { return allocated(fd, mode, at, length); }
int posix_fallocate(int fd, off_t at, off_t length) { return allocated(fd, 0, at, length) == 0 ? 0 : errno; }
int posix_fallocate64(int fd, off_t at, off_t length) { return allocated(fd, 0, at, length) == 0 ? 0 : errno; }

static int synced(int fd, long call) {
    struct stat status;
    if (!watched(fd, &status)) return (int)syscall(call, fd);
    pthread_mutex_lock(&lock);
    note(SYNC, status.st_ino, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return 0;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int sync_file_range(int fd, off_t at, off_t length, unsigned flags) {
    struct stat status;
    if (!watched(fd, &status)) return (int)syscall(SYS_sync_file_range, fd, at, length, flags);
    char text[32];
    int size = snprintf(text, sizeof text, "%lld", (long long)length);
    pthread_mutex_lock(&lock);
    note(SYNC_RANGE, status.st_ino, (uint64_t)at, text, (uint64_t)size);
    pthread_mutex_unlock(&lock);
    return 0;
}
static void all_synced(void) {
    if (!active()) return;
    pthread_mutex_lock(&lock);
    note(SYNC_ALL, 0, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
}
void sync(void) { all_synced(); }
int syncfs(int fd) { (void)fd; all_synced(); return 0; }

/* Two paths travel as "from\0to". */
static int moved(int folder, const char *from, int other, const char *to, uint32_t op, long call, unsigned flags) {
    char pair[2 * PATH_MAX + 1], whole[PATH_MAX];
    int result;
    if (!active() || !below_root(folder, from, pair) || !below_root(other, to, whole))
        return call == SYS_linkat ? (int)syscall(call, folder, from, other, to, flags)
                                  : (int)syscall(SYS_renameat2, folder, from, other, to, flags);
    size_t length = strlen(pair) + 1;
    strcpy(pair + length, whole);
    pthread_mutex_lock(&lock);
    result = call == SYS_linkat ? (int)syscall(call, folder, from, other, to, flags)
                                : (int)syscall(SYS_renameat2, folder, from, other, to, flags);
    if (result == 0) note(op, 0, flags, pair, length + strlen(whole));
    pthread_mutex_unlock(&lock);
    return result;
}
int rename(const char *from, const char *to) { return moved(AT_FDCWD, from, AT_FDCWD, to, RENAME, SYS_renameat2, 0); }
int renameat(int a, const char *from, int b, const char *to) { return moved(a, from, b, to, RENAME, SYS_renameat2, 0); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    return moved(a, from, b, to, RENAME, SYS_renameat2, flags);
}
int link(const char *from, const char *to) { return moved(AT_FDCWD, from, AT_FDCWD, to, LINK, SYS_linkat, 0); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
    return moved(a, from, b, to, LINK, SYS_linkat, (unsigned)flags);
}

static int removed(int folder, const char *path, int flags) {
    char whole[PATH_MAX];
    if (!active() || !below_root(folder, path, whole)) return (int)syscall(SYS_unlinkat, folder, path, flags);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_unlinkat, folder, path, flags);
    if (result == 0) note(flags & AT_REMOVEDIR ? RMDIR : UNLINK, 0, 0, whole, strlen(whole));
    pthread_mutex_unlock(&lock);
    return result;
}
int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }
int unlinkat(int folder, const char *path, int flags) { return removed(folder, path, flags); }
int rmdir(const char *path) { return removed(AT_FDCWD, path, AT_REMOVEDIR); }

static int made(int folder, const char *path, mode_t mode) {
    char whole[PATH_MAX];
    if (!active() || !below_root(folder, path, whole)) return (int)syscall(SYS_mkdirat, folder, path, mode);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_mkdirat, folder, path, mode);
    if (result == 0) note(MKDIR, 0, 0, whole, strlen(whole));
    pthread_mutex_unlock(&lock);
    return result;
}
int mkdir(const char *path, mode_t mode) { return made(AT_FDCWD, path, mode); }
int mkdirat(int folder, const char *path, mode_t mode) { return made(folder, path, mode); }

/* Copies inside the kernel are refused, so that the caller falls back to read and write. */
ssize_t copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t length, unsigned flags) {
    struct stat status;
    if (!watched(out, &status)) return syscall(SYS_copy_file_range, in, in_at, out, out_at, length, flags);
    errno = EXDEV;
    return -1;
}
static ssize_t sent(int out, int in, off_t *at, size_t length) {
    struct stat status;
    if (!watched(out, &status)) return syscall(SYS_sendfile, out, in, at, length);
    errno = EINVAL;
    return -1;
}
ssize_t sendfile(int out, int in, off_t *at, size_t length) { return sent(out, in, at, length); }
ssize_t sendfile64(int out, int in, off_t *at, size_t length) { return sent(out, in, at, length); }

/* Stores through a shared mapping cannot be seen from here: say so, and let the reader decide. */
static void *mapped(void *where, size_t length, int protection, int flags, int fd, off_t at) {
    struct stat status;
    if (fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE) && watched(fd, &status)) {
        pthread_mutex_lock(&lock);
        note(MAPPED, status.st_ino, 0, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return (void *)syscall(SYS_mmap, where, length, protection, flags, fd, at);
}
void *mmap(void *where, size_t length, int protection, int flags, int fd, off_t at) {
    return mapped(where, length, protection, flags, fd, at);
}
void *mmap64(void *where, size_t length, int protection, int flags, int fd, off_t at) {
    return mapped(where, length, protection, flags, fd, at);
}
