package claims

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"strconv"
	"strings"

	"github.com/slidingjwt/slidingjwt/internal/logline"
)

// Expression is a node of a condition over claims. The functions and their meanings are those of Traefik Hub's JWT
// middleware.
type Expression struct {
	operator string // "&&", "||", "!", or a function's name
	operands []*Expression
	path     Path
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

// ParseExpression compiles a condition such as Equals(`grp`, `admin`) && !Contains(`areas`, `lab`). An error names the column,
// from 1 on.
//
// The syntax is a subset of Go's, so Go's own parser reads it.
func ParseExpression(text string) (*Expression, error) {
	files := token.NewFileSet()
	expression, err := parser.ParseExprFrom(files, "", text, 0)
	if err != nil {
		if list, ok := err.(scanner.ErrorList); ok && len(list) > 0 { //nolint:errorlint // Yaegi: errors.As panics on some types; the parser returns this one bare.
			return nil, fmt.Errorf("%s: column %d: %s", logline.Quote(text), list[0].Pos.Column, list[0].Msg)
		}
		return nil, fmt.Errorf("%s: %w", logline.Quote(text), err)
	}
	var firstPos token.Pos
	var firstMsg string
	root := compileNode(expression, func(at token.Pos, message string) {
		if firstMsg == "" {
			firstPos, firstMsg = at, message
		}
	})
	if firstMsg != "" {
		return nil, fmt.Errorf("%s: column %d: %s", logline.Quote(text), files.Position(firstPos).Column, firstMsg)
	}
	return root, nil
}

// compileNode turns a node of Go's syntax into an Expression, and reports what is not part of the language.
func compileNode(node ast.Expr, report func(at token.Pos, message string)) *Expression {
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
		return &Expression{operator: "!", operands: []*Expression{operand}}
	case *ast.BinaryExpr:
		if n.Op != token.LAND && n.Op != token.LOR {
			report(n.OpPos, "operator "+n.Op.String()+" is not one of &&, || and !")
			return nil
		}
		left := compileNode(n.X, report)
		right := compileNode(n.Y, report)
		return &Expression{operator: n.Op.String(), operands: []*Expression{left, right}}
	case *ast.CallExpr:
		return compileCall(n, report)
	}
	report(node.Pos(), "a function is expected: Equals, Prefix, Contains, SplitContains or OneOf")
	return nil
}

func compileCall(call *ast.CallExpr, report func(at token.Pos, message string)) *Expression {
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
	return &Expression{operator: function.Name, path: ParsePath(values[0]), values: values[1:]}
}

// Holds says whether the condition is true of claims. What is absent equals, starts with and contains nothing.
func Holds(p *Expression, claims map[string]any) bool {
	switch p.operator {
	case "!":
		operand := Holds(p.operands[0], claims)
		return !operand
	case "&&":
		for _, operand := range p.operands {
			if !Holds(operand, claims) {
				return false
			}
		}
		return true
	case "||":
		for _, operand := range p.operands {
			if Holds(operand, claims) {
				return true
			}
		}
		return false
	}
	claim := In(p.path, claims)
	if list, isList := claim.([]any); isList {
		return listHolds(p, list)
	}
	if object, isObject := claim.(map[string]any); isObject {
		return objectHolds(p, object)
	}
	text, ok := scalar(claim)
	if !ok {
		return false
	}
	_, isText := claim.(string)
	switch p.operator {
	case "Equals":
		return text == p.values[0]
	case "Prefix":
		return isText && strings.HasPrefix(text, p.values[0])
	case "Contains":
		return isText && strings.Contains(text, p.values[0])
	case "SplitContains":
		if !isText {
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

// listHolds evaluates a function for a list: Contains and OneOf hold if one element is one of the values, others never.
func listHolds(p *Expression, list []any) bool {
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

// objectHolds evaluates the same functions over the names of an object's members: some providers write roles so.
func objectHolds(p *Expression, object map[string]any) bool {
	if p.operator != "Contains" && p.operator != "OneOf" {
		return false
	}
	for _, value := range p.values {
		if _, there := object[value]; there {
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
