# SPDX-License-Identifier: MIT
# ib_embed(TARGET HEADER PREFIX a.cl b.cl ...): a generated header with each text as bytes and its length,
# named PREFIX_<file name>; made anew when a text changes.
set(IB_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")
if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  set(text "/* Generated from the kernel sources by cmake/embed.cmake. */\n#include <stddef.h>\n")
  foreach(file IN LISTS FILES)
    get_filename_component(name "${file}" NAME_WE)
    file(READ "${file}" hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(APPEND text "static const unsigned char ${PREFIX}_${name}_bytes[] = {${bytes}0};\n"
      "static const char *const ${PREFIX}_${name} = (const char *)${PREFIX}_${name}_bytes;\n"
      "static const size_t ${PREFIX}_${name}_len = sizeof ${PREFIX}_${name}_bytes - 1;\n")
  endforeach()
  file(WRITE "${OUT}" "${text}")
  return()
endif()

function(ib_embed target header prefix)
  set(out "${CMAKE_BINARY_DIR}/generated/${header}")
  set(files "")
  foreach(file IN LISTS ARGN)
    list(APPEND files "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
  endforeach()
  add_custom_command(OUTPUT "${out}"
    COMMAND "${CMAKE_COMMAND}" "-DFILES=${files}" "-DOUT=${out}" "-DPREFIX=${prefix}" -P "${IB_EMBED_SCRIPT}"
    DEPENDS ${files} "${IB_EMBED_SCRIPT}" VERBATIM)
  target_sources(${target} PRIVATE "${out}")
endfunction()
