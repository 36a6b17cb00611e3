# SPDX-License-Identifier: Apache-2.0
#
# fairy2_embed_files(OUTPUT path file type ..): writes kPageFiles, the files'
# bytes under the paths that requests name, with their content types.
function(fairy2_embed_files output)
  set(arrays "")
  set(entries "")
  set(number 0)
  while(ARGN)
    list(POP_FRONT ARGN path file type)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
    string(APPEND arrays "constexpr char kFile${number}[] = {${bytes}};\n")
    if(type MATCHES "^text/")
      string(APPEND type "; charset=utf-8")
    endif()
    set(content "{kFile${number}, sizeof kFile${number}}")
    string(APPEND entries "    {\"${path}\", \"${type}\", ${content}},\n")
    math(EXPR number "${number} + 1")
  endwhile()
  file(CONFIGURE OUTPUT ${output} @ONLY
    CONTENT "@arrays@constexpr PageFile kPageFiles[] = {\n@entries@};\n")
endfunction()
