/* SPDX-License-Identifier: MIT
 * A stand-in for the GPU's management library: one device whose counter grows by 1,500 mJ a look.
 */
int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj);

static unsigned long long counter = 1000000;

int nvmlInit_v2(void) {
    return 0;
}

int nvmlShutdown(void) {
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = &counter;
    return index != 0;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj) {
    *mj = *(unsigned long long *)device += 1500;
    return 0;
}
