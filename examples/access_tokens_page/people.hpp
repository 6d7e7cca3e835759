/// The people of the workspace for administrators: everyone with an account here, then every other owner
/// of tokens that the store knows. Each function answers the request.
#pragma once

#include <string>

#include <httplib.h>
#include <tokenstore/model.hpp>

#include "host.hpp"

namespace access_page {

/// From the query: limit, cursor.
void list_people(Host& host, const tokenstore::Actor& actor, const httplib::Request& request,
                 httplib::Response& response);
/// Body: {"mayGenerate": flag, "mayUse": flag}, either may be absent. Throws BadBody.
void change_person(Host& host, const tokenstore::Actor& actor, const std::string& name, const httplib::Request& request,
                   httplib::Response& response);

}  // namespace access_page
