# Each misuse of a secret fails to compile, for the reason expected, while the control compiles.
function(misuse_test name reason)
  add_test(NAME "misuse does not compile: ${name}"
    COMMAND ${CMAKE_COMMAND} -D "COMPILER=${CMAKE_CXX_COMPILER}" -D "INCLUDE=${PROJECT_SOURCE_DIR}/include"
      -D "SOURCE=${CMAKE_CURRENT_SOURCE_DIR}/misuse.cpp" -D "MISUSE=${name}" -D "REASON=${reason}"
      -P "${CMAKE_CURRENT_SOURCE_DIR}/check_misuse.cmake")
  set_tests_properties("misuse does not compile: ${name}" PROPERTIES LABELS house)
endfunction()

foreach(name IN ITEMS COPY ASSIGN PRINT EQUAL UNEQUAL EQUAL_TEXT EQUAL_TEXT_REVERSED COPY_KEYRING)
  misuse_test(${name} "deleted")
endforeach()
misuse_test(CONVERT "SecretText.*(non-scalar|viable|convert)|(non-scalar|viable|convert).*SecretText")
misuse_test(CONVERT_FROM "operator=")
misuse_test(IGNORE_RESULT "nodiscard")
