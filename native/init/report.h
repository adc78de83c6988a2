/* The result of doing things in order: what went wrong first, if anything did. */
#ifndef THAW_INIT_REPORT_H
#define THAW_INIT_REPORT_H

#include "base.h"
#include "wire.h"

/*
 * Notes a failed step, and says whether it went well. Chains read as `done(&r, "setsid", sys(…)) && done(&r, …)`, which stop at the
 * first failure.
 */
static inline int done(struct thaw_report *report, const char *step, long result)
{
	if (!is_error(result))
		return 1;
	report->value = (int32_t)result;
	copy_text(report->step, step, sizeof(report->step));
	return 0;
}

#endif
