# SPDX-License-Identifier: Apache-2.0
#
# Run at every build: writes the commit of SOURCE to OUTPUT, which changes only
# when the commit does.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12
  OUTPUT_VARIABLE FAIRY2_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE
  RESULT_VARIABLE FAILED ERROR_QUIET)
if(FAILED)
  set(FAIRY2_COMMIT unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT
"#include \"trainer/run/SourceVersion.h\"

std::string fairy2::trainer::sourceVersion() { return \"@FAIRY2_COMMIT@\"; }
")
