/* A stand-in for libnvidia-ml.so.1 that tests compile: the calls that engine/devices.py makes, and no more.
 *
 * FAKE_NVML names the machine:
 *   two      two whole GPUs; the second one is too hot (the default)
 *   refuses  one GPU whose driver refuses everything but its name
 *   mig      one GPU cut in two parts; utilisation is refused there, as real ones do
 * FAKE_USED says how many GiB are used of each board, as "9,30"; without it 9 of each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;
typedef void *Device;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned gpu, memory; } Rates;

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6 };
static const unsigned long long GIB = 1ULL << 30;
/* A handle is the board's number plus 1; a MIG part's is 100 and up. */
static size_t number(Device device) { return (size_t)device; }
static int is_part(Device device) { return number(device) >= 100; }

static int machine_is(const char *name) {
    const char *wanted = getenv("FAKE_NVML");
    return strcmp(wanted ? wanted : "two", name) == 0;
}
static unsigned long long used_of(Device device) {
    const char *text = getenv("FAKE_USED");
    size_t board = is_part(device) ? number(device) - 100 : number(device) - 1;
    for (; text && board > 0; board--) {
        text = strchr(text, ',');
        if (text) text++;
    }
    return (text ? strtoull(text, NULL, 10) : 9) * GIB;
}
static Result or_refuse(void) { return machine_is("refuses") ? NOT_SUPPORTED : SUCCESS; }

Result nvmlInit_v2(void) { return SUCCESS; }
Result nvmlInitWithFlags(unsigned flags) { (void)flags; return SUCCESS; }
Result nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(Result result) { return result == SUCCESS ? "Success" : "Refused"; }

Result nvmlSystemGetDriverVersion(char *text, unsigned length) {
    snprintf(text, length, "999.01");
    return SUCCESS;
}
Result nvmlDeviceGetCount_v2(unsigned *count) {
    *count = machine_is("two") ? 2 : 1;
    return SUCCESS;
}
Result nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *device) {
    *device = (Device)(size_t)(index + 1);
    return SUCCESS;
}

Result nvmlDeviceGetMigMode(Device device, unsigned *current, unsigned *pending) {
    (void)device;
    *current = *pending = machine_is("mig");
    return machine_is("two") ? NOT_SUPPORTED : SUCCESS;
}
Result nvmlDeviceGetMaxMigDeviceCount(Device device, unsigned *count) {
    (void)device;
    *count = 7;
    return SUCCESS;
}
Result nvmlDeviceGetMigDeviceHandleByIndex(Device device, unsigned index, Device *part) {
    (void)device;
    if (index >= 2) return NOT_FOUND;
    *part = (Device)(size_t)(100 + index);
    return SUCCESS;
}

Result nvmlDeviceGetName(Device device, char *text, unsigned length) {
    snprintf(text, length, is_part(device) ? "Fake H100 MIG 3g.40gb" : "Fake H100");
    return SUCCESS;
}
Result nvmlDeviceGetUUID(Device device, char *text, unsigned length) {
    if (is_part(device)) snprintf(text, length, "MIG-fake-%zu", number(device) - 100);
    else snprintf(text, length, "GPU-fake-%zu", number(device) - 1);
    return or_refuse();
}
Result nvmlDeviceGetMemoryInfo_v2(Device device, MemoryV2 *memory) {
    memory->total = (is_part(device) ? 40 : 80) * GIB;
    memory->reserved = GIB / 2;
    memory->used = used_of(device);
    memory->free = memory->total - memory->used - memory->reserved;
    return or_refuse();
}
Result nvmlDeviceGetMemoryInfo(Device device, Memory *memory) {
    memory->total = (is_part(device) ? 40 : 80) * GIB;
    memory->used = used_of(device) + GIB / 2;
    memory->free = memory->total - memory->used;
    return or_refuse();
}
Result nvmlDeviceGetUtilizationRates(Device device, Rates *rates) {
    rates->gpu = 87;
    rates->memory = 40;
    return is_part(device) ? NOT_SUPPORTED : or_refuse();
}
Result nvmlDeviceGetTemperature(Device device, unsigned sensor, unsigned *degrees) {
    (void)sensor;
    *degrees = number(device) == 2 ? 92 : 61;
    return is_part(device) ? NOT_SUPPORTED : or_refuse();
}
Result nvmlDeviceGetPowerUsage(Device device, unsigned *milliwatts) {
    *milliwatts = 512000;
    return is_part(device) ? NOT_SUPPORTED : or_refuse();
}
/* At work at its power limit (0x4); the second board also slows down for heat (0x20). */
Result nvmlDeviceGetCurrentClocksEventReasons(Device device, unsigned long long *reasons) {
    *reasons = number(device) == 2 ? 0x24 : 0x4;
    return is_part(device) ? NOT_SUPPORTED : or_refuse();
}
