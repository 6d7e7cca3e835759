# These rooms are compiled once more, with the places known where a finding becomes public
# (base/declassify.hpp). Optimised, as it is the optimised code that has to be even; without a sanitizer,
# which valgrind cannot run.
add_executable(constant_time constant_time.cpp)
foreach(room IN ITEMS base text seal)
  get_target_property(sources tokenstore_${room} SOURCES)
  list(TRANSFORM sources PREPEND "${PROJECT_SOURCE_DIR}/src/${room}/")
  target_sources(constant_time PRIVATE ${sources})
endforeach()
target_compile_features(constant_time PRIVATE cxx_std_20)
target_compile_definitions(constant_time PRIVATE TOKENSTORE_MEMCHECK)
target_compile_options(constant_time PRIVATE -O2 -g -fno-sanitize=all)
target_link_options(constant_time PRIVATE -fno-sanitize=all)
target_include_directories(constant_time PRIVATE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
target_link_libraries(constant_time PRIVATE PkgConfig::sodium fmt::fmt Threads::Threads)

# Looked for when the test runs: a missing valgrind fails it.
function(constant_time_test name mode expectation)
  add_test(NAME "constant time: ${name}"
    COMMAND ${CMAKE_COMMAND} -D "PROGRAM=$<TARGET_FILE:constant_time>" -D "MODE=${mode}" -D "EXPECT=${expectation}"
      -P "${CMAKE_CURRENT_SOURCE_DIR}/check_constant_time.cmake")
  set_tests_properties("constant time: ${name}" PROPERTIES LABELS house TIMEOUT 300)
endfunction()

constant_time_test("parsing, tags, verifiers, seals and comparing do not depend on a secret" check clean)
foreach(control IN ITEMS memcmp branch table)
  constant_time_test("memcheck reports a ${control} on a secret" ${control} reported)
endforeach()
