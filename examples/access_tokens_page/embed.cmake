# Writes page_files_data.hpp: each file of the page as an array of octets.
#   cmake -DOUTPUT=file -DROOT=folder -DFILES=a|b -P embed.cmake
string(REPLACE "|" ";" files "${FILES}")
set(arrays "")
set(table "")
set(number 0)
foreach(file IN LISTS files)
  file(READ "${ROOT}/${file}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," octets "${hex}")
  get_filename_component(name "${file}" NAME)
  string(APPEND arrays "inline constexpr char file_${number}[] = {${octets}};\n")
  string(APPEND table "    PageFile{\"/${name}\", {file_${number}, sizeof file_${number}}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUTPUT}.new" "// Made by embed.cmake.
#pragma once

#include <array>
#include <string_view>

namespace access_page {

struct PageFile {
  std::string_view path;
  std::string_view content;
};

${arrays}
inline constexpr std::array<PageFile, ${number}> page_files{
${table}};

}  // namespace access_page
")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")
