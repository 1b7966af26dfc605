package slidingjwt

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"strconv"
	"strings"
)

// predicate is a node of a claims expression. The functions and their meanings are those of Traefik Hub's
// JWT middleware.
type predicate struct {
	operator string // "&&", "||", "!", or a function's name
	operands []*predicate
	path     []string
	values   []string
}

// functionArguments are the functions of an expression, and how many arguments each takes at least and at most.
var functionArguments = map[string][2]int{
	"Equals":        {2, 2},
	"Prefix":        {2, 2},
	"Contains":      {2, 2},
	"SplitContains": {3, 3},
	"OneOf":         {2, 1 << 20},
}

// parseExpression compiles an expression; an error names the column, from 1 on.
//
// The syntax is a subset of Go's, so Go's own parser reads it.
func parseExpression(text string) (*predicate, error) {
	files := token.NewFileSet()
	expression, err := parser.ParseExprFrom(files, "", text, 0)
	if err != nil {
		if list, ok := err.(scanner.ErrorList); ok && len(list) > 0 { //nolint:errorlint // Yaegi: errors.As panics on some types; the parser returns this one bare.
			return nil, fmt.Errorf("%s: column %d: %s", quote(text), list[0].Pos.Column, list[0].Msg)
		}
		return nil, fmt.Errorf("%s: %w", quote(text), err)
	}
	var firstPos token.Pos
	var firstMsg string
	root := compileNode(expression, func(at token.Pos, message string) {
		if firstMsg == "" {
			firstPos, firstMsg = at, message
		}
	})
	if firstMsg != "" {
		return nil, fmt.Errorf("%s: column %d: %s", quote(text), files.Position(firstPos).Column, firstMsg)
	}
	return root, nil
}

// compileNode turns a node of Go's syntax into a predicate and reports what is none.
func compileNode(node ast.Expr, report func(at token.Pos, message string)) *predicate {
	switch n := node.(type) {
	case *ast.ParenExpr:
		inner := compileNode(n.X, report)
		return inner
	case *ast.UnaryExpr:
		if n.Op != token.NOT {
			report(n.OpPos, "operator "+n.Op.String()+" is not one of &&, || and !")
			return nil
		}
		operand := compileNode(n.X, report)
		return &predicate{operator: "!", operands: []*predicate{operand}}
	case *ast.BinaryExpr:
		if n.Op != token.LAND && n.Op != token.LOR {
			report(n.OpPos, "operator "+n.Op.String()+" is not one of &&, || and !")
			return nil
		}
		left := compileNode(n.X, report)
		right := compileNode(n.Y, report)
		return &predicate{operator: n.Op.String(), operands: []*predicate{left, right}}
	case *ast.CallExpr:
		return compileCall(n, report)
	}
	report(node.Pos(), "a function is expected: Equals, Prefix, Contains, SplitContains or OneOf")
	return nil
}

func compileCall(call *ast.CallExpr, report func(at token.Pos, message string)) *predicate {
	function, ok := call.Fun.(*ast.Ident)
	if !ok {
		report(call.Pos(), "a function is expected: Equals, Prefix, Contains, SplitContains or OneOf")
		return nil
	}
	count, known := functionArguments[function.Name]
	if !known {
		report(call.Pos(), "unknown function "+function.Name)
		return nil
	}
	if len(call.Args) < count[0] || len(call.Args) > count[1] || call.Ellipsis.IsValid() {
		report(call.Pos(), "wrong number of arguments for "+function.Name)
		return nil
	}
	values := make([]string, 0, len(call.Args))
	for _, argument := range call.Args {
		literal, ok := argument.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			report(argument.Pos(), "a text in back quotes or quotes is expected")
			return nil
		}
		value, err := strconv.Unquote(literal.Value)
		if err != nil {
			report(argument.Pos(), "the text is malformed")
			return nil
		}
		values = append(values, value)
	}
	if values[0] == "" {
		report(call.Args[0].Pos(), "the claim is empty")
		return nil
	}
	return &predicate{operator: function.Name, path: claimPath(values[0]), values: values[1:]}
}

// holds evaluates an expression over claims. What is absent equals, starts with and contains nothing.
func holds(p *predicate, claims map[string]any) bool {
	switch p.operator {
	case "!":
		operand := holds(p.operands[0], claims)
		return !operand
	case "&&":
		for _, operand := range p.operands {
			if !holds(operand, claims) {
				return false
			}
		}
		return true
	case "||":
		for _, operand := range p.operands {
			if holds(operand, claims) {
				return true
			}
		}
		return false
	}
	claim := lookup(claims, p.path)
	if list, isList := claim.([]any); isList {
		return listHolds(p, list)
	}
	text, ok := scalar(claim)
	if !ok {
		return false
	}
	switch p.operator {
	case "Equals":
		return text == p.values[0]
	case "Prefix":
		return isString(claim) && strings.HasPrefix(text, p.values[0])
	case "Contains":
		return isString(claim) && strings.Contains(text, p.values[0])
	case "SplitContains":
		if !isString(claim) {
			return false
		}
		for _, part := range strings.Split(text, p.values[0]) {
			if part == p.values[1] {
				return true
			}
		}
		return false
	case "OneOf":
		return oneOf(text, p.values)
	}
	return false
}

// listHolds evaluates the functions that know lists: one of the elements has to be one of the values.
func listHolds(p *predicate, list []any) bool {
	if p.operator != "Contains" && p.operator != "OneOf" {
		return false
	}
	for _, element := range list {
		if text, ok := scalar(element); ok && oneOf(text, p.values) {
			return true
		}
	}
	return false
}

func oneOf(text string, values []string) bool {
	for _, value := range values {
		if text == value {
			return true
		}
	}
	return false
}

// isString tells a string from a number, which is a string to Go as well.
func isString(claim any) bool {
	if _, isNumber := claim.(json.Number); isNumber {
		return false
	}
	_, ok := claim.(string)
	return ok
}
