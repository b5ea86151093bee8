/*
 * base/status.c: names and texts of statuses, from the one list in evstream/status.h.
 */
#include "evstream/status.h"

const char *evs_version(void)
{
    return EVS_VERSION_STRING;
}

const char *evs_status_name(int32_t status)
{
    switch (status) {
#define EVS__CASE(name, value, text)                                                               \
    case value:                                                                                    \
        return "EVS_" #name;
        EVS_STATUS_MAP(EVS__CASE)
#undef EVS__CASE
    default:
        return "EVS_UNKNOWN";
    }
}

const char *evs_status_text(int32_t status)
{
    switch (status) {
#define EVS__CASE(name, value, text)                                                               \
    case value:                                                                                    \
        return text;
        EVS_STATUS_MAP(EVS__CASE)
#undef EVS__CASE
    default:
        return "unknown status";
    }
}
