# Writes syscall_names.inc: one `{"openat", 257},` for each system call that the compiler's headers know.
set(SYSCALL_NAMES_DIR ${CMAKE_BINARY_DIR}/generated)
file(WRITE ${SYSCALL_NAMES_DIR}/unistd.c "#include <asm/unistd_64.h>\n")
execute_process(
  COMMAND ${CMAKE_C_COMPILER} -E -dM ${SYSCALL_NAMES_DIR}/unistd.c
  OUTPUT_VARIABLE macros COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "#define __NR_[a-z0-9_]+ [0-9]+" macros "${macros}")

# What the running kernel may have and the headers of the build not: Debian 12 has those of Linux 6.1.
list(APPEND macros
  "#define __NR_cachestat 451" "#define __NR_fchmodat2 452" "#define __NR_map_shadow_stack 453"
  "#define __NR_futex_wake 454" "#define __NR_futex_wait 455" "#define __NR_futex_requeue 456"
  "#define __NR_statmount 457" "#define __NR_listmount 458" "#define __NR_lsm_get_self_attr 459"
  "#define __NR_lsm_set_self_attr 460" "#define __NR_lsm_list_modules 461" "#define __NR_mseal 462"
  "#define __NR_setxattrat 463" "#define __NR_getxattrat 464" "#define __NR_listxattrat 465"
  "#define __NR_removexattrat 466" "#define __NR_open_tree_attr 467" "#define __NR_file_getattr 468"
  "#define __NR_file_setattr 469")
list(REMOVE_DUPLICATES macros)
string(REGEX REPLACE "#define __NR_([a-z0-9_]+) ([0-9]+)" "{\"\\1\", \\2}," entries "${macros}")
string(REPLACE ";" "\n" entries "${entries}")
file(CONFIGURE OUTPUT ${SYSCALL_NAMES_DIR}/syscall_names.inc CONTENT "${entries}\n" @ONLY)
