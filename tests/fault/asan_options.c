/* SPDX-License-Identifier: Apache-2.0 */
/* Sanitizer builds of the launcher: what it holds until exit is not lost memory. */
/* The runtime looks for it from its own library. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0:exitcode=99";
}
